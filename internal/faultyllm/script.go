package faultyllm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"time"

	"pelton/internal/rawjson"
)

// Script is the fate of one request, given in the field "mock" of its body or
// in the header X-Mock. An unknown field is refused with a 400 that names it.
//
// Status, Fault and Raw make the call end otherwise than usual; a request that
// has one of them is exempt from [Config.Faults], after Times too. The other
// fields hold for every call of the request.
type Script struct {
	// Status of the answer, from 200 to 599. From 400 on the answer is an
	// error, unless Fault or Raw gives it another form; below, a status alone
	// is a promise that the call succeeds.
	Status int `json:"status,omitempty"`

	// Fault that the call meets; Status, when given too, replaces its status.
	Fault Fault `json:"fault,omitempty"`

	// Raw is the body to answer, verbatim, with Status or 200. It goes out as
	// text/event-stream if the request asked for a stream, else as
	// application/json; Headers may say otherwise.
	Raw *string `json:"raw,omitempty"`

	// Times is how many calls of the request Status, Fault and Raw apply to,
	// counted from the first one; later ones succeed. 0: to all.
	Times int `json:"times,omitempty"`

	// RetryAfter is what a failing answer asks the client to wait, in seconds,
	// as written by [Config.RetryAfterForm]. 0: as configured.
	RetryAfter float64 `json:"retry_after,omitempty"`

	// Code, Type and Message replace those of the error object.
	Code    string `json:"code,omitempty"`
	Type    string `json:"type,omitempty"`
	Message string `json:"message,omitempty"`

	// LatencyMS replaces the configured latency, in milliseconds.
	LatencyMS *float64 `json:"latency_ms,omitempty"`

	// Answer is the text of the answer, Tokens the same in the pieces that a
	// stream sends. At most one of them.
	Answer *string  `json:"answer,omitempty"`
	Tokens []string `json:"tokens,omitempty"`

	// Headers are set on the answer, over those it would have.
	Headers map[string]string `json:"headers,omitempty"`

	// Key is the identity of the request, instead of the hash of its body.
	Key string `json:"key,omitempty"`
}

// decode reads the fields that data names over those s has.
func (s *Script) decode(data []byte) error {
	if trimmed := bytes.TrimSpace(data); !rawjson.IsObject(trimmed) {
		return errors.New("mock: want an object")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("mock: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("mock: want one object and nothing after it")
	}
	return nil
}

func (s *Script) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("mock: "+format, args...)) }
	if s.Status != 0 && (s.Status < 200 || s.Status > 599) {
		bad("status must be between 200 and 599")
	}
	if s.Fault != "" {
		if _, err := ParseFault(string(s.Fault)); err != nil {
			bad("%w", err)
		}
	}
	if s.Times < 0 {
		bad("times must not be negative")
	}
	if s.Times > 0 && !s.decides() {
		bad("times needs a status, a fault or raw")
	}
	if s.RetryAfter < 0 || s.RetryAfter > maxSeconds {
		bad("retry_after must be between 0 and %d", maxSeconds)
	}
	if s.LatencyMS != nil && (*s.LatencyMS < 0 || *s.LatencyMS > maxSeconds*1000) {
		bad("latency_ms must be between 0 and %d", maxSeconds*1000)
	}
	if s.Answer != nil && s.Tokens != nil {
		bad("answer and tokens exclude each other")
	}
	for name := range s.Headers {
		if textproto.TrimString(name) != name || name == "" || strings.ContainsAny(name, " :\r\n\t") {
			bad("%q is no header name", name)
		}
	}
	return errors.Join(errs...)
}

// maxSeconds is a day: longer waits are a slip of the unit.
const maxSeconds = 24 * 60 * 60

// decides reports whether the script says how the call ends.
func (s *Script) decides() bool { return s.Status != 0 || s.Fault != "" || s.Raw != nil }

// applies reports whether it still says so for the given call, from 1 on.
func (s *Script) applies(call int) bool {
	return s.decides() && (s.Times == 0 || call <= s.Times)
}

// failure is how the call ends; ok is false when it succeeds.
func (s *Script) failure() (f failure, ok bool) {
	switch {
	case s.Fault != "":
		f, ok = failureOf(s.Fault), true
		if s.Status != 0 {
			f.status = s.Status
		}
	case s.Status >= 400:
		f, ok = failureOfStatus(s.Status), true
		f.fault = Fault(fmt.Sprint(s.Status))
	default:
		return failure{}, false
	}
	if s.Code != "" {
		f.code = s.Code
	}
	if s.Type != "" {
		f.typ = s.Type
	}
	if s.Message != "" {
		f.message = s.Message
	}
	f.wait = time.Duration(s.RetryAfter * float64(time.Second))
	return f, ok
}
