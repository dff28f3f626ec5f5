package gemini

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pelton/router/protocol"
	"pelton/schema"
)

func sentTo(t *testing.T, u protocol.Upstream, call *protocol.Call) (*http.Request, error) {
	t.Helper()
	p, err := NewVertex(u)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Encode(t.Context(), call)
	return call.Req, err
}

// Each kind of model is where Vertex AI has it, by each way of writing who asks.
func TestVertexAddresses(t *testing.T) {
	token := func(context.Context) (string, error) { return "ya29.test", nil }
	at := map[string]string{"vertex_project": "p", "vertex_location": "europe-west4"}
	const within = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/"
	for name, test := range map[string]struct {
		u        protocol.Upstream
		model    string
		streamed bool
		want     string
		body     string
	}{
		"Gemini":            {protocol.Upstream{Model: "gemini-3.5-flash", Token: token, Settings: at}, "gemini-3.5-flash", true, within + "publishers/google/models/gemini-3.5-flash:streamGenerateContent?alt=sse", `"contents"`},
		"any, Gemini":       {protocol.Upstream{Model: "*", Token: token, Settings: at}, "gemini-3.5-flash", false, within + "publishers/google/models/gemini-3.5-flash:generateContent", `"contents"`},
		"any, Llama":        {protocol.Upstream{Model: "*", Token: token, Settings: at}, "meta/llama-4", false, within + "endpoints/openapi/chat/completions", `"messages"`},
		"tuned":             {protocol.Upstream{Model: "gemini/123", Token: token, Settings: at}, "gemini/123", false, within + "endpoints/123:generateContent", `"contents"`},
		"endpoint":          {protocol.Upstream{Model: "openai/123", Token: token, Settings: at}, "openai/123", true, within + "endpoints/123/chat/completions", `"include_usage":true`},
		"Mistral":           {protocol.Upstream{Model: "mistralai/mistral-medium-3@001", Token: token, Settings: at}, "mistralai/mistral-medium-3@001", true, within + "publishers/mistralai/models/mistral-medium-3@001:streamRawPredict", `"messages"`},
		"Jamba":             {protocol.Upstream{Model: "jamba-1.5", Token: token, Settings: at}, "jamba-1.5", false, within + "publishers/ai21/models/jamba-1.5:rawPredict", `"messages"`},
		"another host":      {protocol.Upstream{Model: "meta/x", Token: token, Settings: at, BaseURL: "http://127.0.0.1:9?a=b"}, "meta/x", false, "http://127.0.0.1:9/v1/projects/p/locations/europe-west4/endpoints/openapi/chat/completions?a=b", `"messages"`},
		"express":           {protocol.Upstream{Model: "gemini-3.5-flash", Key: "k"}, "gemini-3.5-flash", false, "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-3.5-flash:generateContent", `"contents"`},
		"the other names":   {protocol.Upstream{Model: "gemini-3.5-flash", Token: token, Settings: map[string]string{"vertex_ai_project": "q", "vertex_project": "p"}}, "gemini-3.5-flash", false, "https://us-central1-aiplatform.googleapis.com/v1/projects/q/locations/us-central1/publishers/google/models/gemini-3.5-flash:generateContent", `"contents"`},
		"multi-region (us)": {protocol.Upstream{Model: "gemini-3.5-flash", Token: token, Settings: map[string]string{"vertex_project": "p", "vertex_location": "us"}}, "gemini-3.5-flash", false, "https://aiplatform.us.rep.googleapis.com/v1/projects/p/locations/us/publishers/google/models/gemini-3.5-flash:generateContent", `"contents"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: test.model, Body: []byte(`{"model":"` + test.model + `",` + hello + `}`), Streamed: test.streamed}
			if test.streamed {
				c.Body = []byte(`{"stream":true,` + hello + `}`)
			}
			req, err := sentTo(t, test.u, c)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			if req.URL.String() != test.want || !strings.Contains(string(raw), test.body) {
				t.Errorf("%s %s", req.URL, raw)
			}
			if key, auth := req.Header.Get("X-Goog-Api-Key"), req.Header.Get("Authorization"); test.u.Key != "" && (key != "k" || auth != "") || test.u.Key == "" && (key != "" || auth != "Bearer ya29.test") {
				t.Errorf("key %q, authorization %q", key, auth)
			}
		})
	}
}

// Embeddings go by predict there, and come back as OpenAI's.
func TestEmbeddings(t *testing.T) {
	token := func(context.Context) (string, error) { return "ya29.test", nil }
	vertex, err := NewVertex(protocol.Upstream{Model: "text-embedding-005", Token: token, Settings: map[string]string{"vertex_project": "p"}})
	if err != nil {
		t.Fatal(err)
	}
	api := protocolFor(t, protocol.Upstream{Model: "gemini-embedding-001", Key: "k"})
	for name, test := range map[string]struct {
		p                         protocol.Protocol
		model, body, url, request string
		answer, want              string
		usage                     protocol.Usage
	}{
		"Gemini API": {
			api, "gemini-embedding-001", `{"model":"m","input":["a","b"],"dimensions":2,"task_type":"CLUSTERING"}`, "/v1beta/models/gemini-embedding-001:batchEmbedContents",
			`{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a"}]},"outputDimensionality":2,"taskType":"CLUSTERING"},
				{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"b"}]},"outputDimensionality":2,"taskType":"CLUSTERING"}]}`,
			`{"embeddings":[{"values":[0.5,-1]},{"values":[0,2]}]}`,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]},{"object":"embedding","index":1,"embedding":[0,2]}],"model":"gemini-embedding-001"}`,
			protocol.Usage{},
		},
		"Vertex AI, packed": {
			vertex, "text-embedding-005", `{"input":"a","dimensions":2,"encoding_format":"base64"}`, "/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict",
			`{"instances":[{"content":"a"}],"parameters":{"outputDimensionality":2}}`,
			`{"predictions":[{"embeddings":{"values":[0.5,-1],"statistics":{"token_count":3}}}]}`,
			`{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAAPwAAgL8="}],"model":"text-embedding-005","usage":{"prompt_tokens":3,"total_tokens":3}}`,
			protocol.Usage{Known: true, Input: 3, Total: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &protocol.Call{Endpoint: schema.Embeddings, Model: test.model, Body: []byte(test.body)}
			if err := test.p.Encode(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(c.Req.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := pretty(decode(t, string(raw))), pretty(decode(t, test.request)); got != want || c.Req.URL.Path != test.url {
				t.Errorf("%s %s, want %s", c.Req.URL, got, want)
			}
			a := test.p.Decode(c, protocol.Reply{Status: 200, Body: []byte(test.answer), At: noon})
			if got, want := pretty(decode(t, string(a.Body))), pretty(decode(t, test.want)); got != want || a.Usage != test.usage {
				t.Errorf("%s, usage %+v, want %s", got, a.Usage, want)
			}
		})
	}
	for body, param := range map[string]string{`{"input":[[1,2]]}`: "input", `{"input":[]}`: "input", `{}`: "input", `{"input":"a","odd":1}`: "odd"} {
		c := &protocol.Call{Endpoint: schema.Embeddings, Model: "m", Body: []byte(body)}
		var e *schema.Error
		if err := api.Encode(t.Context(), c); !errors.As(err, &e) || e.Param != param {
			t.Errorf("%s: %v", body, err)
		}
	}
	for body, failed := range map[string]bool{`{"embeddings":[]}`: false, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}`: true, `[]`: true} {
		a := api.Decode(&protocol.Call{Endpoint: schema.Embeddings}, protocol.Reply{Status: 200, Body: []byte(body), At: noon})
		if a.Failed != failed || !failed && a.Lacks == "" {
			t.Errorf("%s: %+v", body, a)
		}
	}
}

// The models of the Gemini API are listed by their bare names, and Vertex AI's
// are not asked for.
func TestModels(t *testing.T) {
	p := protocolFor(t, protocol.Upstream{Model: "gemini-3.5-flash", Key: "k"})
	c := &protocol.Call{Endpoint: protocol.ListModels}
	if err := p.Encode(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if c.Req.Method != http.MethodGet || c.Req.URL.String() != "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000" || c.Req.Header.Get("X-Goog-Api-Key") != "k" {
		t.Errorf("%s %s", c.Req.Method, c.Req.URL)
	}
	if names := p.Models([]byte(`{"models":[{"name":"models/a"},{"name":"tunedModels/b"}]}`)); len(names) != 2 || names[0] != "a" || names[1] != "tunedModels/b" {
		t.Errorf("models %v", names)
	}
	if a := p.Decode(c, protocol.Reply{Status: 200, Body: []byte(`{"x":1}`), At: noon}); a.Lacks == "" {
		t.Errorf("%+v", a)
	}
	vertex, err := NewVertex(protocol.Upstream{Model: "gemini-3.5-flash", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := vertex.Serves(protocol.ListModels); ok {
		t.Error("Vertex AI is asked for its models")
	}
}

// A credential that cannot be had is told once, with what to do.
func TestVertexWithoutToken(t *testing.T) {
	_, err := sentTo(t, protocol.Upstream{Model: "meta/x", Settings: map[string]string{"vertex_project": "p", "vertex_credentials": "/nowhere/c.json"}}, chatCall(`{`+hello+`}`, false))
	var e *schema.Error
	if !errors.As(err, &e) || e.Class != schema.ClassUpstreamFatal || e.Code != protocol.CodeNoToken || !strings.Contains(e.Message, "/nowhere/c.json") {
		t.Errorf("got %v", err)
	}
	if _, err := NewVertex(protocol.Upstream{Model: "m", Settings: map[string]string{"vertex_credentials": "{"}}); err == nil {
		t.Error("half a credentials file is taken")
	}
	token := func(context.Context) (string, error) { return "t", nil }
	if _, err := NewVertex(protocol.Upstream{Model: "m", Token: token}); err == nil || !strings.Contains(err.Error(), "vertex_project") {
		t.Errorf("without a project: %v", err)
	}
}
