package router

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"pelton/schema"
)

// native are protocols that are not OpenAI's, each with an answer of 2 KB.
var native = map[string]struct {
	deployment Deployment
	answer     string
}{
	protocolGemini: {
		Deployment{Group: "gemini-3.5-flash", Model: "gemini-3.5-flash", Protocol: protocolGemini, APIKey: NewSecret(testKey)},
		`{"candidates":[{"content":{"parts":[{"text":"` + prose + `"}],"role":"model"},"finishReason":"STOP","index":0}],` +
			`"usageMetadata":{"promptTokenCount":400,"candidatesTokenCount":300,"totalTokenCount":700},"modelVersion":"m","responseId":"r"}`,
	},
}

var (
	prose      = strings.Repeat("The capital of Norway is Oslo. ", 60)
	nativeChat = Request{Body: json.RawMessage(`{"model":"gemini-3.5-flash","max_tokens":500,"messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"` + prose + `"}]}`)}
	openAIChat = `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` + prose + `"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":400,"completion_tokens":300,"total_tokens":700}}`
)

func nativeRouter(t testing.TB, d Deployment, answer string) *Router {
	t.Helper()
	r, err := New(&Config{Deployments: []Deployment{d}}, through(func(*http.Request) (*http.Response, error) { return answerWith(200, noHeader, answer), nil }))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func nativeDo(t testing.TB, r *Router) {
	if out := r.Do(background, nativeChat); out.Status != schema.StatusSucceeded {
		t.Fatal(out.Error)
	}
}

// Translation costs at most one allocation for each kilobyte that goes through it.
func TestTranslationIsCheap(t *testing.T) {
	plain := nativeRouter(t, Deployment{Group: "*", Model: "*", BaseURL: "http://a/v1", APIKey: NewSecret(testKey)}, openAIChat)
	own := testing.AllocsPerRun(200, func() { nativeDo(t, plain) })
	for name, n := range native {
		r := nativeRouter(t, n.deployment, n.answer)
		bound := own + float64((len(nativeChat.Body)+len(n.answer))/1024)
		if got := testing.AllocsPerRun(200, func() { nativeDo(t, r) }); got > bound {
			t.Errorf("%s: %v allocations, OpenAI's protocol makes %v", name, got, own)
		}
	}
}

// BenchmarkDoNative is a request of 2 KB with an answer of 2 KB, by each protocol.
func BenchmarkDoNative(b *testing.B) {
	run := func(name string, d Deployment, answer string) {
		b.Run(name, func(b *testing.B) {
			r := nativeRouter(b, d, answer)
			b.ReportAllocs()
			for b.Loop() {
				nativeDo(b, r)
			}
		})
	}
	run(protocolOpenAI, Deployment{Group: "*", Model: "*", BaseURL: "http://a/v1", APIKey: NewSecret(testKey)}, openAIChat)
	for name, n := range native {
		run(name, n.deployment, n.answer)
	}
}
