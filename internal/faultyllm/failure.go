package faultyllm

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"pelton/internal/rawjson"
)

// failure is a call's bad end in full: the expansion of a [Fault], after a
// [Script] has had its say.
type failure struct {
	fault  Fault // "" for refusals, which are nobody's wish
	shape  shape
	status int

	// The error object. typ "" stands for invalid_request_error.
	typ, code, param, message string

	retry bool          // Config.RetryAfter applies
	wait  time.Duration // asked of the client by this failure; 0: see retry
}

// failureOfStatus is the plain error answer of a status.
func failureOfStatus(status int) failure {
	switch status {
	case 400:
		return faults[FaultBadRequest]
	case 401:
		return faults[FaultAuth]
	case 403:
		return failure{status: 403, typ: "permission_error", message: "You are not allowed to do this."}
	case 404:
		return faults[FaultModelNotFound]
	case 408:
		return faults[FaultTimeout]
	case 413:
		return faults[FaultTooLarge]
	case 422:
		return faults[FaultUnprocessable]
	case 429:
		return faults[FaultRateLimit]
	case 503:
		return faults[FaultUnavailable]
	case 529:
		return faults[FaultOverloaded]
	}
	f := failure{status: status, message: http.StatusText(status)}
	if f.message == "" {
		f.message = "Status " + strconv.Itoa(status)
	}
	if status >= 500 {
		f.typ = "server_error"
	}
	return f
}

// badRequest refuses a request for what is in it.
func badRequest(param, message string) failure {
	return failure{status: 400, param: param, message: message}
}

func unknownModel(model []byte) failure {
	f := faults[FaultModelNotFound]
	f.message = "The model `" + string(model) + "` does not exist or you do not have access to it."
	return f
}

// appendError appends OpenAI's error object in its envelope.
func (f *failure) appendError(out []byte) []byte {
	out = append(out, `{"error":{"message":`...)
	out = rawjson.AppendString(out, f.message)
	out = append(out, `,"type":`...)
	out = rawjson.AppendString(out, cmp.Or(f.typ, "invalid_request_error"))
	out = append(out, `,"param":`...)
	out = appendStringOrNull(out, f.param)
	out = append(out, `,"code":`...)
	out = appendStringOrNull(out, f.code)
	return append(out, `}}`...)
}

const htmlPage = "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

func appendStringOrNull(out []byte, s string) []byte {
	if s == "" {
		return append(out, "null"...)
	}
	return rawjson.AppendString(out, s)
}
