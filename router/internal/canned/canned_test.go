package canned

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestCanned(t *testing.T) {
	for _, tt := range []struct {
		text, path, body string
		status           int
		want             string
	}{
		{"hello", "/v1/chat/completions", `{"model":"m","n":2}`, 200, `"content":"hello"`},
		{"hello", "/v1/chat/completions", `{"model":"m","stream":true}`, 200, "data: [DONE]"},
		{"hello", "/v1/completions", `{"model":"m"}`, 200, `"text":"hello"`},
		{"hello", "/v1/responses", `{"model":"m"}`, 200, `"type":"output_text"`},
		{"hello", "/v1/responses", `{"model":"m","stream":true}`, 200, `"type":"response.completed"`},
		{"[1,2.5]", "/v1/embeddings", `{"input":["a","b"]}`, 200, `"embedding":[1,2.5],"index":1`},
		{"[1]", "/v1/embeddings", `{"input":[1,2]}`, 200, `"data":[{"embedding":[1],"index":0,"object":"embedding"}]`},
		{"hello", "/v1/embeddings", `{"input":"a"}`, 400, "list of numbers"},
		{"hello", "/v1/images", `{}`, 404, "no answer"},
		{"hello", "/v1/models", ``, 200, `"data":[]`},
		{"litellm.RateLimitError", "/v1/chat/completions", `{}`, 429, "rate_limit_exceeded"},
		{"litellm.ContextWindowExceededError", "/v1/chat/completions", `{}`, 400, "context_length_exceeded"},
		{"Exception: content_filter_policy", "/v1/chat/completions", `{}`, 400, "content_policy_violation"},
		{"Exception: anything", "/v1/chat/completions", `{}`, 500, "anything"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://nobody.invalid"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := New(tt.text).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(text), tt.want) || int64(len(text)) != resp.ContentLength {
			t.Errorf("%s %s %s: %d %s", tt.text, tt.path, tt.body, resp.StatusCode, text)
		}
	}
}
