package faultyllm

import (
	"net/http"
	"strings"

	"pelton/internal/rawjson"
)

// anyModel stands in the list of models when every model is served.
const anyModel = "mock"

// serveModels answers GET /v1/models and /v1/models/{id}. These are not calls:
// they are not on the record, and of all faults meet outages and a missing key
// only.
func (s *Server) serveModels(w http.ResponseWriter, r *http.Request) {
	set := s.set.Load()
	var fail failure
	name, one := strings.CutPrefix(r.URL.Path, "/v1/models/") // may contain slashes
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		s.notFound(w, http.StatusMethodNotAllowed, "Not allowed to "+r.Method+" on "+r.URL.Path+".")
		return
	case s.inOutage(set):
		// The shapes that break connections are for calls; a probe learns as
		// much from a status.
		fail = set.outage
		if fail.shape != shapeError {
			fail = faults[FaultUnavailable]
		}
	case !s.authorized(set, r):
		fail = faults[FaultAuth]
	case one && set.models != nil && !set.models[name]:
		fail = unknownModel([]byte(name))
	}
	if fail.status != 0 {
		if fail.retry && set.RetryAfter > 0 {
			set.RetryAfterForm.set(w.Header(), set.RetryAfter)
		}
		writeFailure(w, &fail)
		return
	}

	var out []byte
	names := set.Models
	if len(names) == 0 {
		names = []string{anyModel}
	}
	switch {
	case one:
		out = modelObject(out, name)
	case r.URL.Query().Has("page_size"): // as Cohere asks
		out = appendCohereModels(out, names)
	default:
		out = append(out, `{"object":"list","data":[`...)
		for i, name := range names {
			if i > 0 {
				out = append(out, ',')
			}
			out = modelObject(out, name)
		}
		out = append(out, `]}`...)
	}
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(out)
}

func modelObject(out []byte, name string) []byte {
	out = append(out, `{"id":`...)
	out = rawjson.AppendString(out, name)
	return append(out, `,"object":"model","created":1700000000,"owned_by":"mock"}`...)
}
