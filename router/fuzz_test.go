package router

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"pelton/router/internal/scrub"
	"pelton/router/protocol"
	"pelton/schema"
)

// Whatever a server answers, there is a verdict that can be stored.
func FuzzClassify(f *testing.F) {
	for _, a := range answers {
		f.Add(a.status, string(a.endpoint), a.body, "", "")
	}
	f.Add(429, "", "{}", "1e9", "true")
	f.Add(200, "/v1/models", `{"data":[]}`, "-1", "false")
	f.Add(200, "", strings.Repeat(`{"error":`, 300), "", "")
	f.Fuzz(func(t *testing.T, status int, endpoint, body, after, should string) {
		if status < 100 || status > 999 {
			return
		}
		h := http.Header{"Retry-After": {after}, "X-Should-Retry": {should}, "Location": {after}}
		v := judge("http://h", schema.Endpoint(endpoint), status, h, body)
		valid := json.Valid([]byte(body))
		if v.err == nil {
			if status < 200 || status >= 300 || !valid {
				t.Fatalf("%d %q is a success", status, body)
			}
			return
		}
		e := v.err
		scrub.New(testKey).Tidy(e)
		if e.Class == "" || e.Code == "" || e.Message == "" || e.StatusCode != status {
			t.Fatalf("%d %q: %+v", status, body, e)
		}
		if len(e.Message) > protocol.MaxMessage || !utf8.ValidString(e.Message+e.Code+e.Type+e.Param) || strings.ContainsAny(e.Message, "\n\r\x00") {
			t.Fatalf("untidy: %q", e.Message)
		}
		if v.after < 0 || v.after > protocol.MaxRetryAfter {
			t.Fatalf("after %v", v.after)
		}
		if !json.Valid(jsonText([]byte(body), valid)) {
			t.Fatalf("no JSON of %q", body)
		}
	})
}
