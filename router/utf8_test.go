package router

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"pelton/internal/secret"
	"pelton/schema"
)

// An answer with bytes that are no UTF-8 is kept as it came, beside text that can
// be read: successes, failures and streams.
func TestAnswersThatAreNoUTF8(t *testing.T) {
	chatWith := func(content string) string { return strings.Replace(okChat, `"hi"`, `"`+content+`"`, 1) }
	for name, tt := range map[string]struct {
		status    int
		body      string
		stream    bool
		kept      bool
		succeeded bool
	}{
		"latin 1":           {200, chatWith("caf\xe9"), false, true, true},
		"half a character":  {200, chatWith("\xe2\x82"), false, true, true},
		"UTF-8":             {200, chatWith("café €"), false, false, true},
		"a failure":         {400, `{"error":{"message":"caf` + "\xe9" + ` ` + testKey + `"}}`, false, true, false},
		"a failing page":    {400, "<h1>\xff " + testKey + "</h1>", false, true, false},
		"escaped surrogate": {200, chatWith(`\ud800`), false, false, true},
		"in a stream": {200, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\xe9\"}}]}\n\n" +
			"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
				if tt.stream {
					w.Header().Set("Content-Type", "text/event-stream")
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			req := chat("m")
			if tt.stream {
				req.Body = []byte(`{"model":"m","messages":[],"stream":true}`)
			}
			out := r.Do(background, req)
			if (out.Error == nil) != tt.succeeded || out.Response == nil {
				t.Fatalf("%+v", out)
			}
			want := ""
			if tt.kept {
				want = strings.ReplaceAll(tt.body, testKey, secret.Redacted)
			}
			if tt.stream { // as the answer that it makes
				want = `{"choices":[{"index":0,"message":{"role":"assistant","content":"a` + "\xe9" + `"},"finish_reason":"stop"}]}`
			}
			if got := string(out.Response.BodyBase64); got != want {
				t.Errorf("kept %q, want %q", got, want)
			}
			result := schema.Result{ID: "j.0", Job: "j", Status: out.Status, Response: out.Response, Error: out.Error, Attempts: out.Attempts}
			line, err := result.AppendJSON(nil)
			if err != nil || !utf8.Valid(line) || strings.Contains(string(line), testKey) {
				t.Errorf("%v: %q", err, line)
			}
		})
	}
}
