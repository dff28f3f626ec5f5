package faultyllm

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func askGoogle(t *testing.T, s *upstream, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Root()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if w := resp.Header.Get("Retry-After"); w != "" {
		t.Errorf("%s %s: Retry-After %s, which Google does not send", method, path, w)
	}
	return resp.StatusCode, string(raw)
}

// Google's paths answer in Google's form, under each of their addresses.
func TestGemini(t *testing.T) {
	s := start(t, Config{APIKey: "k", Models: []string{"m"}, KeepCalls: 10})
	const body = `{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Yes"}]},{"role":"user","parts":[{"text":"A "},{"text":"\u00e9"}]}]}`
	for _, path := range []string{
		"/v1/models/m:generateContent", "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse",
		"/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
	} {
		key := []string{"X-Goog-Api-Key", "k"}
		if strings.Contains(path, "projects") {
			key = []string{"Authorization", "Bearer k"}
		}
		status, got := askGoogle(t, s, http.MethodPost, path, body, key...)
		if status != 200 {
			t.Fatalf("%s: %d %s", path, status, got)
		}
		text, finish := "", ""
		for event := range strings.SplitSeq(strings.TrimSpace(got), "\r\n\r\n") {
			var a struct {
				Candidates []struct {
					Content      struct{ Parts []struct{ Text string } }
					FinishReason string
				}
				UsageMetadata struct{ PromptTokenCount, TotalTokenCount int }
				ModelVersion  string
				ResponseID    string
			}
			if err := json.Unmarshal([]byte(strings.TrimPrefix(event, "data: ")), &a); err != nil {
				t.Fatalf("%v: %s", err, event)
			}
			if a.ModelVersion != "m" || a.ResponseID == "" || a.UsageMetadata.PromptTokenCount == 0 {
				t.Errorf("%s: %s", path, event)
			}
			text += a.Candidates[0].Content.Parts[0].Text
			finish += a.Candidates[0].FinishReason
		}
		if text != "You said: A é" || finish != "STOP" {
			t.Errorf("%s: text %q, finish %q", path, text, finish)
		}
	}
	if status, got := askGoogle(t, s, http.MethodGet, "/v1beta/models", "", "X-Goog-Api-Key", "k"); status != 200 || !strings.Contains(got, `"models/m"`) {
		t.Errorf("models: %d %s", status, got)
	}
	if status, got := askGoogle(t, s, http.MethodPost, "/v1beta/models/m:batchEmbedContents", `{"requests":[{"content":{"parts":[{"text":"a"}]},"outputDimensionality":2},{"content":{"parts":[{"text":"b"}]}}]}`, "X-Goog-Api-Key", "k"); status != 200 || strings.Count(got, `"values"`) != 2 {
		t.Errorf("embeddings: %d %s", status, got)
	}
	if n := s.Stats(); n.Calls != 5 {
		t.Errorf("%d calls", n.Calls)
	}
}

// Failures are Google's: status, name, details.
func TestGeminiFaults(t *testing.T) {
	s := start(t, Config{APIKey: "k", Models: []string{"m"}, RetryAfter: 1500 * time.Millisecond})
	const body, path = `{"contents":[{"parts":[{"text":"Hi"}]}]}`, "/v1beta/models/m:generateContent"
	for name, test := range map[string]struct {
		path, body, script string
		status             int
		want               []string
	}{
		"rate":    {path, body, `{"fault":"rate_limit"}`, 429, []string{`"RESOURCE_EXHAUSTED"`, `"retryDelay":"1.5s"`}},
		"quota":   {path, body, `{"fault":"quota"}`, 429, []string{`"RESOURCE_EXHAUSTED"`, `PerDay`}},
		"context": {path, body, `{"fault":"context_length"}`, 400, []string{`"INVALID_ARGUMENT"`, "exceeds the maximum number of tokens allowed"}},
		"blocked": {path, body, `{"fault":"content_filter"}`, 200, []string{`"blockReason":"PROHIBITED_CONTENT"`}},
		"country": {path, body, `{"fault":"forbidden"}`, 400, []string{`"FAILED_PRECONDITION"`}},
		"key":     {path, body, `{"fault":"auth"}`, 400, []string{`"API_KEY_INVALID"`}},
		"token":   {"/v1/projects/p/locations/l/publishers/google/models/m:generateContent", body, `{"fault":"auth"}`, 401, []string{`"UNAUTHENTICATED"`}},
		"within":  {path, body, `{"fault":"error_in_200"}`, 200, []string{`"code":500`, `"INTERNAL"`}},
		"none":    {path, body, `{"fault":"no_choices"}`, 200, []string{`"candidates":[]`}},
		"stream":  {"/v1beta/models/m:streamGenerateContent", body, `{"fault":"no_choices"}`, 200, []string{`data: {"usageMetadata"`}},
		"broken":  {"/v1beta/models/m:streamGenerateContent", body, `{"fault":"error_in_200"}`, 200, []string{`You`, `data: {"error":{"code":500`}},
		"busy":    {path, body, `{"status":503}`, 503, []string{`"UNAVAILABLE"`}},
		"model":   {"/v1beta/models/x:generateContent", body, `{}`, 404, []string{`"NOT_FOUND"`, "models/x"}},
		"no text": {path, `{}`, `{}`, 400, []string{`"INVALID_ARGUMENT"`, "contents"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := askGoogle(t, s, http.MethodPost, test.path, test.body, "X-Goog-Api-Key", "k", "X-Mock", test.script)
			for _, want := range test.want {
				if status != test.status || !strings.Contains(got, want) {
					t.Errorf("%d %s, want %d and %s", status, got, test.status, want)
				}
			}
		})
	}
	if status, got := askGoogle(t, s, http.MethodPost, path, body, "X-Goog-Api-Key", "wrong"); status != 400 || !strings.Contains(got, "API_KEY_INVALID") {
		t.Errorf("a wrong key: %d %s", status, got)
	}
	if status, _ := askGoogle(t, s, http.MethodGet, path, ""); status != 405 {
		t.Errorf("GET: %d", status)
	}
}
