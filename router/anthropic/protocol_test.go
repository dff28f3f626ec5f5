package anthropic

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/router/credentials"
	"pelton/router/protocol"
	"pelton/schema"
)

func TestFaults(t *testing.T) {
	const typed = `{"type":"error","error":{"type":%,"message":"#"},"request_id":"req_1"}`
	of := func(kind, message string) string {
		return strings.NewReplacer("%", `"`+kind+`"`, "#", message).Replace(typed)
	}
	p, c, _ := anthropicCall(t)
	for name, test := range map[string]struct {
		status int
		aws    string
		body   string
		class  schema.Class
	}{
		"bad request":      {400, "", of("invalid_request_error", "no"), schema.ClassRequestFatal},
		"too long":         {400, "", of("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), schema.ClassContextWindow},
		"filtered":         {400, "", of("invalid_request_error", "Output blocked by content filtering policy"), schema.ClassContentPolicy},
		"no money":         {400, "", of("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), schema.ClassUpstreamFatal},
		"key":              {401, "", of("authentication_error", "invalid x-api-key"), schema.ClassUpstreamFatal},
		"bill":             {402, "", of("billing_error", "no"), schema.ClassUpstreamFatal},
		"model":            {404, "", of("not_found_error", "model: claude-nope"), schema.ClassUpstreamFatal},
		"large":            {413, "", of("request_too_large", "no"), schema.ClassRequestFatal},
		"paced":            {429, "", of("rate_limit_error", "no"), schema.ClassRateLimited},
		"long context":     {429, "", of("rate_limit_error", "Extra usage is required for long context requests"), schema.ClassContextWindow},
		"overloaded":       {529, "", of("overloaded_error", "Overloaded"), schema.ClassTransient},
		"overloaded, 200":  {200, "", of("overloaded_error", "Overloaded"), schema.ClassTransient},
		"bad request, 200": {200, "", of("invalid_request_error", "no"), schema.ClassRequestFatal},
		"page":             {200, "", "<html>Hello</html>", schema.ClassTransient},
		"nothing":          {200, "", "", schema.ClassTransient},
		"another answer":   {200, "", `{"choices":[]}`, schema.ClassTransient},
		"AWS throttles":    {400, "ThrottlingException:http://internal.amazon.com/", `{"message":"Too many requests"}`, schema.ClassRateLimited},
		"AWS model":        {424, "ModelErrorException", `{"message":"oh"}`, schema.ClassTransient},
		"AWS key":          {403, "UnrecognizedClientException", `{"message":"The security token is invalid"}`, schema.ClassUpstreamFatal},
		"AWS input":        {400, "ValidationException", `{"message":"Input is too long for requested model."}`, schema.ClassContextWindow},
		"Google":           {403, "", `{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}`, schema.ClassUpstreamFatal},
		"Google, ended":    {499, "", `{"error":{"code":499,"message":"no","status":"CANCELLED"}}`, schema.ClassTransient},
		"Google, quota":    {429, "", `[{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}]`, schema.ClassRateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			reply := protocol.Reply{Status: test.status, Header: http.Header{}, Body: []byte(test.body)}
			if test.aws != "" {
				reply.Header.Set("X-Amzn-Errortype", test.aws)
			}
			made := p.Decode(c, reply)
			status := test.status
			if status == 200 && made.Fault.Status != 0 {
				status = made.Fault.Status
			}
			if got := protocol.ClassOf(status, &made.Fault); !made.Failed || got != test.class {
				t.Errorf("class is %s, want %s: %+v", got, test.class, made)
			}
		})
	}
}

func TestAnswerWithoutItsEnd(t *testing.T) {
	p, c, _ := anthropicCall(t)
	made := p.Decode(c, protocol.Reply{Status: 200, Body: []byte(`{"id":"m","content":[{"type":"text","text":"Hel"}],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}`)})
	if made.Lacks == "" || made.Failed || made.Usage.Total != 2 {
		t.Errorf("%+v", made)
	}
}

// TestReasons holds OpenAI's words for Anthropic's reasons, and that those which
// say more stay beside them.
func TestReasons(t *testing.T) {
	p, c, _ := anthropicCall(t)
	for reason, want := range map[string]string{
		"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "content_filter",
		"model_context_window_exceeded": "length", "pause_turn": "length", "something_new": "stop",
	} {
		made := p.Decode(c, protocol.Reply{Status: 200, Body: []byte(`{"content":[],"stop_reason":"` + reason + `"}`)})
		if !strings.Contains(string(made.Body), `"finish_reason":"`+want+`"`) {
			t.Errorf("%s: %s", reason, made.Body)
		}
		own := !slices.Contains([]string{"end_turn", "stop_sequence", "max_tokens", "tool_use"}, reason)
		if strings.Contains(string(made.Body), `"stop_reason":"`+reason+`"`) != own {
			t.Errorf("%s: the reason is kept should be %v: %s", reason, own, made.Body)
		}
	}
}

// TestBoundIsLearnt has a server say what it takes: the request is made again with
// that, once, and later ones with a model's bound at once.
func TestBoundIsLearnt(t *testing.T) {
	p, err := New(protocol.Upstream{Key: "sk-canary", Model: "claude-*"})
	if err != nil {
		t.Fatal(err)
	}
	call := func() *protocol.Call {
		return &protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude-next-9", Body: []byte(`{` + hi + `}`)}
	}
	refuse := func(c *protocol.Call, message string) protocol.Answer {
		return p.Decode(c, protocol.Reply{Status: 400, Header: http.Header{}, Body: []byte(`{"type":"error","error":{"type":"invalid_request_error","message":"` + message + `"}}`)})
	}
	const noRoomLeft = "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000, decrease input length or `max_tokens` and try again"
	first := call()
	for i, step := range []struct {
		message string
		again   bool
		bound   string
	}{
		{"max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-next-9", true, `"max_tokens":64000`},
		{"max_tokens: 64000 > 32000, which is the maximum allowed number of output tokens for claude-next-9", false, `"max_tokens":64000`},
	} {
		if err := p.Encode(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if made := refuse(first, step.message); made.Again != step.again {
			t.Fatalf("step %d: again is %v: %+v", i, made.Again, made)
		}
		if body := sentBody(t, p, first); !strings.Contains(body, step.bound) {
			t.Errorf("step %d: sent %s", i, body)
		}
	}
	second := call()
	if body := sentBody(t, p, second); !strings.Contains(body, `"max_tokens":64000`) {
		t.Errorf("it was not remembered: %s", body)
	}
	if made := refuse(second, noRoomLeft); !made.Again {
		t.Errorf("%+v", made)
	}
	if body := sentBody(t, p, second); !strings.Contains(body, `"max_tokens":10000`) {
		t.Errorf("sent %s", body)
	}
	own := call()
	own.Body = []byte(`{"max_tokens":128000,` + hi + `}`)
	_ = sentBody(t, p, own)
	if made := refuse(own, noRoomLeft); made.Again || protocol.ClassOf(400, &made.Fault) != schema.ClassContextWindow {
		t.Errorf("a bound of the request's own was changed: %+v", made)
	}
}

func sentBody(t *testing.T, p protocol.Protocol, c *protocol.Call) string {
	t.Helper()
	if err := p.Encode(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := c.Req.Body.(interface {
		Read([]byte) (int, error)
	}).Read(nil); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, c.Req.ContentLength)
	n, _ := c.Req.Body.Read(buf)
	out.Write(buf[:n])
	return out.String()
}

func TestWays(t *testing.T) {
	signed := credentials.Token(func(context.Context) (string, error) { return "tok-canary", nil })
	for name, test := range map[string]struct {
		make   func() (protocol.Protocol, error)
		stream bool
		url    string
		header map[string]string
		body   []string // parts of it; with ! those that must not be
	}{
		"key": {func() (protocol.Protocol, error) {
			return New(protocol.Upstream{Key: "k", BaseURL: "https://a.example/x/v1?a=b"})
		}, true, "https://a.example/x/v1/messages?a=b", map[string]string{"X-Api-Key": "k", "Anthropic-Version": apiVersion, "Authorization": ""}, []string{`"model":"claude-opus-4-6"`, `"stream":true`, "!anthropic_version"}},
		"token": {func() (protocol.Protocol, error) {
			return New(protocol.Upstream{Token: signed, Headers: map[string]string{"anthropic-version": "2026-10-21"}})
		}, false, "https://api.anthropic.com/v1/messages", map[string]string{"X-Api-Key": "", "Anthropic-Version": "2026-10-21", "Authorization": "Bearer tok-canary"}, nil},
		"azure": {func() (protocol.Protocol, error) {
			return NewAzure(protocol.Upstream{Key: "k", BaseURL: "https://r.services.ai.azure.com"})
		}, false, "https://r.services.ai.azure.com/anthropic/v1/messages", map[string]string{"X-Api-Key": "k", "Api-Key": "k"}, nil},
		"azure, whole address": {func() (protocol.Protocol, error) {
			return NewAzure(protocol.Upstream{Token: signed, BaseURL: "https://r.services.ai.azure.com/anthropic/v1/messages"})
		}, false, "https://r.services.ai.azure.com/anthropic/v1/messages", map[string]string{"X-Api-Key": "", "Api-Key": "", "Authorization": "Bearer tok-canary"}, nil},
		"vertex": {func() (protocol.Protocol, error) {
			return vertex(protocol.Upstream{Model: "claude-*", Settings: map[string]string{"vertex_project": "p", "vertex_location": "us-east5"}}, signed)
		}, true, "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-4-6:streamRawPredict", map[string]string{"Authorization": "Bearer tok-canary"}, []string{`"anthropic_version":"vertex-2023-10-16"`, `"stream":true`, `!"model"`}},
		"bedrock": {func() (protocol.Protocol, error) {
			return bedrock(protocol.Upstream{Model: "claude-opus-4-6", Headers: map[string]string{"anthropic-beta": "a, b"}, Settings: map[string]string{"aws_region_name": "us-east-1"}}, signed)
		}, true, "https://bedrock-runtime.us-east-1.amazonaws.com/model/claude-opus-4-6/invoke-with-response-stream", map[string]string{"Anthropic-Beta": "", "Anthropic-Version": ""}, []string{`"anthropic_version":"bedrock-2023-05-31"`, `"anthropic_beta":["a","b"]`, `!"stream"`, `!"model"`}},
		"bedrock, base": {func() (protocol.Protocol, error) {
			return bedrock(protocol.Upstream{BaseURL: "http://127.0.0.1:9"}, signed)
		}, false, "http://127.0.0.1:9/model/claude-opus-4-6/invoke", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := test.make()
			if err != nil {
				t.Fatal(err)
			}
			c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude-opus-4-6", Streamed: test.stream, Body: []byte(`{"max_tokens":5,` + hi + `}`)}
			body := sentBody(t, p, c)
			if got := c.Req.URL.String(); got != test.url {
				t.Errorf("URL is %s, want %s", got, test.url)
			}
			for name, want := range test.header {
				if got := c.Req.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for _, part := range test.body {
				part, not := strings.CutPrefix(part, "!")
				if strings.Contains(body, part) == not {
					t.Errorf("%s: want it %v in %s", part, !not, body)
				}
			}
		})
	}
}

func TestWaysThatLackSomething(t *testing.T) {
	for want, make := range map[string]func() (protocol.Protocol, error){
		"api_base":        func() (protocol.Protocol, error) { return NewAzure(protocol.Upstream{}) },
		"vertex_project":  func() (protocol.Protocol, error) { return vertex(protocol.Upstream{}, nil) },
		"aws_region_name": func() (protocol.Protocol, error) { return bedrock(protocol.Upstream{}, nil) },
	} {
		if _, err := make(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a word on %s", err, want)
		}
	}
	none := errors.New("log in first")
	p, err := New(protocol.Upstream{Token: func(context.Context) (string, error) { return "", none }})
	if err != nil {
		t.Fatal(err)
	}
	var e *schema.Error
	err = p.Encode(t.Context(), &protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude", Body: []byte(`{` + hi + `}`)})
	if !errors.As(err, &e) || e.Class != schema.ClassUpstreamFatal || !strings.Contains(e.Message, "log in first") {
		t.Errorf("got %v", err)
	}
}

func TestListOfModels(t *testing.T) {
	p, err := New(protocol.Upstream{Key: "k", BaseURL: "https://a.example"})
	if err != nil {
		t.Fatal(err)
	}
	c := &protocol.Call{Endpoint: protocol.ListModels}
	if err := p.Encode(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got := c.Req.Method + " " + c.Req.URL.String(); got != "GET https://a.example/v1/models" {
		t.Error(got)
	}
	body := []byte(`{"data":[{"type":"model","id":"claude-a"},{"type":"model","id":"claude-b"}],"has_more":false}`)
	made := p.Decode(c, protocol.Reply{Status: 200, Body: body, At: time.Now()})
	if made.Failed || made.Lacks != "" || !made.JSON || !slices.Equal(p.Models(made.Body), []string{"claude-a", "claude-b"}) {
		t.Errorf("%+v", made)
	}
	if made := p.Decode(c, protocol.Reply{Status: 401, Header: http.Header{}, Body: []byte(`{"error":{"type":"authentication_error","message":"no"}}`)}); !made.Failed {
		t.Errorf("%+v", made)
	}
	for endpoint, want := range map[schema.Endpoint]bool{schema.ChatCompletions: true, schema.Responses: false, schema.Embeddings: false, protocol.ListModels: true} {
		if ok, _ := p.Serves(endpoint); ok != want {
			t.Errorf("%s: %v", endpoint, ok)
		}
	}
}
