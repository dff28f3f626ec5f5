package faultyllm

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// serveControl answers /healthz and /mock/…, where problems are told as
// {"error":"…"}, so that nobody takes them for those of a model.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	switch method + " " + r.URL.Path {
	case "GET /healthz":
		_, _ = io.WriteString(w, "ok\n")
	case "GET /mock/stats":
		writeJSON(w, http.StatusOK, s.Stats())
	case "GET /mock/identities":
		writeJSON(w, http.StatusOK, s.Identities())
	case "GET /mock/calls":
		writeJSON(w, http.StatusOK, s.Calls())
	case "GET /mock/bodies":
		texts := []string{}
		for _, b := range s.Bodies() {
			texts = append(texts, string(b))
		}
		writeJSON(w, http.StatusOK, texts)
	case "POST /mock/reset":
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	case "GET /mock/config":
		s.writeConfig(w)
	case "PUT /mock/config":
		s.putConfig(w, r)
	default:
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such thing: " + r.Method + " " + r.URL.Path})
	}
}

func (s *Server) putConfig(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = s.update(func(c *Config) error { return json.Unmarshal(body, c) })
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": strings.ReplaceAll(err.Error(), "\n", "; ")})
		return
	}
	s.writeConfig(w)
}

// writeConfig leaves the key out: somebody may have put a real one there. It is
// absent, not blank, so that what was read can be sent back.
func (s *Server) writeConfig(w http.ResponseWriter) {
	fields := map[string]json.RawMessage{}
	data, err := json.Marshal(s.Config())
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	delete(fields, "api_key")
	writeJSON(w, http.StatusOK, fields)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(append(out, '\n'))
}
