package protocol

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pelton/internal/rawjson"
	"pelton/schema"
)

// Fault is an error as a server describes it.
type Fault struct {
	// Code, Type, Message and Param are as OpenAI's errors have them, in the
	// server's words.
	Code, Type, Message, Param string

	// Names are every code, type and status that it goes by, in lower case:
	// [ClassOf] looks here. nil: Code and Type alone.
	Names []string

	// Provider is who answered behind a gateway, where that says so. Empty: it does
	// not, or there is none.
	Provider string

	// Loose says that Message is all the text there was, of no known shape.
	Loose bool

	// Status is an HTTP status that the body holds. It counts where the answer's
	// own says success. 0: none.
	Status int

	// After is how long the body asks to wait, for headers that do not say.
	// 0: it does not.
	After time.Duration

	// Header holds those headers of a server behind this one that the body repeats.
	Header http.Header

	// Used says that the body names a quota that does not come back within minutes:
	// one of the day, or one of nothing. Nothing says that it is the latter, for which
	// no wait helps, and googleDay that it is Google's of the day.
	Used, Nothing, googleDay bool

	// Class and Scope are the protocol's word, where it knows better than
	// [ClassOf] and [ScopeOf]. Empty: theirs.
	Class schema.Class
	Scope Scope
}

// ReadFault reads an error of any known shape, the whole body of an answer or
// the part that holds the error: OpenAI's, Azure's, Gemini's, FastAPI's, flat
// ones, a text alone, and one within another. valid reports whether raw is JSON;
// of what is not, the Message is the text on one line.
func ReadFault(raw []byte) (f Fault, valid bool) {
	if !rawjson.Valid(raw) {
		return Fault{Message: Plain(raw), Loose: true}, false
	}
	if f.Read(raw); f.Message == "" {
		f.Message, f.Loose = Words(raw), true
	}
	return f, true
}

// Says reports whether the message holds one of the phrases, which are in lower case.
func (f *Fault) Says(phrases ...string) bool {
	message := strings.ToLower(f.Message)
	return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(message, phrase) })
}

// Words is what a body says that holds no error of a known shape.
func Words(body []byte) string { return OneLine(strings.TrimSpace(string(body)), MaxMessage) }

func (f *Fault) named(codes map[string]bool) bool {
	if f.Names == nil {
		return codes[strings.ToLower(f.Code)] || codes[strings.ToLower(f.Type)]
	}
	for _, name := range f.Names {
		if codes[name] {
			return true
		}
	}
	return false
}

func (f *Fault) says(phrases []string) bool {
	message := strings.ToLower(f.Message)
	for _, phrase := range phrases {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// maxNested bounds how deep an error may hide in another.
const maxNested = 4

// Read adds what raw, which is JSON, says; what f has stays.
func (f *Fault) Read(raw []byte) { f.readAt(raw, 0) }

// readAt reads one error value of any known shape into f; what f has stays.
func (f *Fault) readAt(raw []byte, depth int) {
	raw = bytes.TrimSpace(raw)
	if depth > maxNested || !Present(raw) {
		return
	}
	if raw[0] == '[' {
		f.readList(raw, depth)
		return
	}
	if raw[0] != '{' {
		f.Message = cmp.Or(f.Message, Scalar(raw))
		return
	}
	var e struct {
		Message, Msg, Error, Detail, Errors, Code, Type, Param, Status, Loc json.RawMessage
		InnerError                                                          struct{ Code json.RawMessage }
		Details                                                             []detail
		Metadata                                                            struct {
			Raw      json.RawMessage
			Headers  map[string]json.RawMessage
			Provider json.RawMessage `json:"provider_name"`
		}
		Provider json.RawMessage
		Extra    json.RawMessage `json:"extra_fields"`
	}
	_ = json.Unmarshal(raw, &e) // a field of another type is left out
	code, status := Scalar(e.Code), Scalar(e.Status)
	if isNumber(code) && status != "" && !isNumber(status) {
		code = status // Gemini: {"code":429,"status":"RESOURCE_EXHAUSTED"}
	}
	f.take(Fault{
		Code: code, Type: Scalar(e.Type), Param: cmp.Or(Scalar(e.Param), path(e.Loc)),
		Message: cmp.Or(Scalar(e.Message), Scalar(e.Msg)),
	})
	f.By(e.Provider, e.Extra)
	f.By(e.Metadata.Provider, nil)
	f.Name(Scalar(e.Code), Scalar(e.Type), status, Scalar(e.InnerError.Code))
	for _, d := range e.Details {
		f.detail(d)
	}
	for name, value := range e.Metadata.Headers { // OpenRouter
		if f.Header == nil {
			f.Header = http.Header{}
		}
		f.Header.Set(name, Scalar(value))
	}
	for _, text := range []string{status, Scalar(e.Code)} { // the code counts where both are one
		if n, err := strconv.Atoi(text); err == nil && n >= 400 && n < 600 {
			f.Status = n
		}
	}
	for _, nested := range []json.RawMessage{e.Message, e.Error, e.Detail, e.Errors} {
		if n := bytes.TrimSpace(nested); Present(n) && (n[0] == '{' || n[0] == '[' || f.Message == "") {
			var inner Fault
			inner.readAt(n, depth+1)
			f.take(inner)
		}
	}
	// OpenRouter's own message is "Provider returned error"; the provider's is here.
	if text := Scalar(e.Metadata.Raw); text != "" {
		var inner Fault
		if json.Valid([]byte(text)) {
			inner.readAt([]byte(text), depth+1)
		}
		inner.Message = cmp.Or(inner.Message, text)
		f.Name(inner.Names...)
		f.Message = strings.TrimPrefix(f.Message+": "+inner.Message, ": ")
	}
}

// readList reads FastAPI's list of what is wrong, or an array around one error.
func (f *Fault) readList(raw []byte, depth int) {
	var all []json.RawMessage
	_ = json.Unmarshal(raw, &all)
	var said []string
	for _, one := range all[:min(len(all), 20)] {
		var inner Fault
		inner.readAt(one, depth+1)
		f.take(inner)
		if text := inner.Message; text != "" {
			if inner.Param != "" {
				text = inner.Param + ": " + text
			}
			said = append(said, text)
		}
	}
	f.Message = strings.Join(said, "; ")
}

// detail is one of those of Google's errors: RetryInfo, QuotaFailure, ErrorInfo.
type detail struct {
	RetryDelay string
	Reason     string
	Violations []struct{ QuotaID, QuotaValue string }
}

func (f *Fault) detail(d detail) {
	f.Name(d.Reason)
	if delay, ok := Delay(d.RetryDelay, time.Time{}); ok && delay > 0 {
		f.After = delay
	}
	for _, v := range d.Violations {
		daily := strings.Contains(v.QuotaID, "PerDay")
		f.googleDay = f.googleDay || daily && v.QuotaValue != "0"
		f.Nothing = f.Nothing || v.QuotaValue == "0"
		f.Used = f.Used || daily || f.Nothing
	}
}

// take fills what f lacks from o.
func (f *Fault) take(o Fault) {
	f.Code, f.Type = cmp.Or(f.Code, o.Code), cmp.Or(f.Type, o.Type)
	f.Message, f.Param = cmp.Or(f.Message, o.Message), cmp.Or(f.Param, o.Param)
	f.Provider = cmp.Or(f.Provider, o.Provider)
	f.Names = append(f.Names, o.Names...)
	if f.Status == 0 {
		f.Status = o.Status
	}
	f.After = max(f.After, o.After)
	f.Used, f.googleDay, f.Nothing = f.Used || o.Used, f.googleDay || o.googleDay, f.Nothing || o.Nothing
	if f.Header == nil {
		f.Header = o.Header
	}
}

// Name adds names that the error goes by; empty ones are left out.
func (f *Fault) Name(names ...string) {
	for _, name := range names {
		if name != "" {
			f.Names = append(f.Names, strings.ToLower(name))
		}
	}
}

// Scalar returns a JSON string's text or a number as it is written, else "".
func Scalar(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		return rawjson.Text(raw)
	case c == '-' || c >= '0' && c <= '9':
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1e15 {
			return strconv.FormatInt(int64(f), 10)
		}
		return string(raw)
	}
	return ""
}

// Present reports whether raw is a value that says something: not null, false,
// 0, nor anything empty.
func Present(raw []byte) bool {
	switch string(raw) {
	case "", "null", "false", "0", `""`, "{}", "[]":
		return false
	}
	return true
}

func isNumber(text string) bool {
	_, err := strconv.Atoi(text)
	return err == nil
}

// path joins FastAPI's location of a fault: ["body","messages",0].
func path(raw []byte) string {
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var names []string
	for _, part := range parts {
		names = append(names, Scalar(part))
	}
	return strings.Join(names, ".")
}
