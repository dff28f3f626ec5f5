package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/nats-io/nats.go"

	"pelton/jobs"
	"pelton/schema"
)

// apiError is an error as OpenAI's API tells it.
type apiError struct {
	Status  int
	Type    string // empty: invalid_request_error
	Code    string // empty: null
	Param   string // empty: null
	Message string
}

func (e *apiError) Error() string { return e.Message }

// invalid is what a caller can mend: param names the field.
func invalid(param, code, format string, args ...any) error {
	return &apiError{Status: http.StatusBadRequest, Param: param, Code: code, Message: fmt.Sprintf(format, args...)}
}

func noFile(id string) error {
	return &apiError{Status: http.StatusNotFound, Param: "id", Message: "No such File object: " + clip(id)}
}

func noBatch(id string) error {
	return &apiError{Status: http.StatusNotFound, Param: "batch_id", Message: fmt.Sprintf("No batch found with id '%s'.", clip(id))}
}

func unknownURL(w http.ResponseWriter, r *http.Request) {
	writeError(w, &apiError{Status: http.StatusNotFound, Code: "unknown_url", Message: fmt.Sprintf("Unknown request URL: %s %s. "+
		"Here are /v1/files, /v1/batches and /v1/models; what a batch asks of a model goes into its input file.", r.Method, clip(r.URL.Path))})
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// refuse answers with an error, unless the answer has begun.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, key *Key, err error) {
	if errors.Is(err, errBegun) || r.Context().Err() != nil {
		g.Log.Debug().Err(err).Str("path", r.URL.Path).Msg("an answer broke off")
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
	answer := asAPIError(err)
	event := g.Log.Debug()
	if answer.Status >= http.StatusInternalServerError || errors.Is(err, jobs.ErrDenied) {
		event = g.Log.Warn()
	}
	if key != nil {
		event = event.Str("key", key.Name)
	}
	event.Err(err).Str("request", r.Header.Get(requestID)).Str("method", r.Method).Str("path", r.URL.Path).Int("status", answer.Status).Msg("refused a request")
	writeError(w, answer)
}

// errBegun marks an error that came when part of the answer had been sent.
var errBegun = errors.New("the answer had begun")

// asAPIError decides what a client is told.
func asAPIError(err error) *apiError {
	var own *apiError
	var problems *schema.Problems
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &problems):
		return &apiError{Status: http.StatusBadRequest, Code: "invalid_batch", Message: problems.Error()}
	case errors.As(err, &tooLarge):
		return &apiError{Status: http.StatusRequestEntityTooLarge, Code: "request_too_large", Message: fmt.Sprintf("The request is larger than %d bytes.", tooLarge.Limit)}
	case errors.Is(err, jobs.ErrStoreFull):
		return &apiError{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "store_full",
			Message: "The store of this installation is full: wait until files and results age out, or have some removed."}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jobs.ErrNotSetUp):
		return &apiError{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "broker_unavailable", Message: "The broker did not answer in time: try again."}
	}
	if errors.Is(err, jobs.ErrDenied) { // which right lacks is for the log; trying again helps nobody
		return &apiError{Status: http.StatusForbidden, Type: "insufficient_permissions", Code: "installation_lacks_right",
			Message: "This installation itself may not do that: its NATS user lacks a right, which its log names."}
	}
	// What the broker says is for the log: it names subjects and servers.
	return &apiError{Status: http.StatusInternalServerError, Type: "server_error", Code: "internal_error", Message: "This installation could not do it: its log says why. Try again."}
}

func writeError(w http.ResponseWriter, e *apiError) {
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="pelton"`)
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	kind := e.Type
	if kind == "" {
		kind = "invalid_request_error"
	}
	writeJSON(w, e.Status, map[string]any{"error": map[string]any{
		"message": e.Message, "type": kind, "param": orNull(e.Param), "code": orNull(e.Code),
	}})
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":{"message":"the answer could not be encoded","type":"server_error","param":null,"code":null}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that has gone
}

// answer is writeJSON for who returns an error.
func (c *call) answer(v any) error {
	writeJSON(c, http.StatusOK, v)
	return nil
}
