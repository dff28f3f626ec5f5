package router

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"pelton/internal/faultyllm"
	"pelton/router/protocol"
	"pelton/router/protocol/prototest"
	"pelton/schema"
)

// toyServer answers as the toy protocol's server: with each of the given handlers
// in turn, the last one again and again.
type toyServer struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // method, path, key and body
}

func toys(t *testing.T, handlers ...http.HandlerFunc) *toyServer {
	t.Helper()
	s := &toyServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		n := len(s.calls)
		s.calls = append(s.calls, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Toy-Key")+" "+string(body))
		s.mu.Unlock()
		handlers[min(n, len(handlers)-1)](w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// inFrames answers with frames, and closes the connection behind them where the
// last one is no end.
func inFrames(all ...[]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/toy")
		for _, frame := range all {
			_, _ = w.Write(frame)
		}
	}
}

func (s *toyServer) at(id string, change ...func(*Deployment)) Deployment {
	d := Deployment{ID: id, Group: "g", Model: "bear", Protocol: "toy", BaseURL: s.URL, APIKey: NewSecret(testKey), Settings: map[string]Secret{"dialect": NewSecret("ursine")}}
	for _, f := range change {
		f(&d)
	}
	return d
}

func first(d *Deployment)  { d.Order = 1 }
func second(d *Deployment) { d.Order = 2 }

// A request to a server with a protocol of its own: what is sent, what comes
// back, what it costs, and what its errors mean.
func TestDo(t *testing.T) {
	s := toys(t, says(503, `{"trouble":{"what":"tired","words":"later"}}`), says(200, `{"said":"grr","cost":[3,2]}`))
	price := 0.5
	d := s.at("toy", func(d *Deployment) { d.Prices = Prices{Input: &price, Output: &price} })
	r := start(t, &Config{Deployments: []Deployment{d}, CooldownTime: new(time.Duration)}, noWait)
	out := r.Do(background, ask1("g", "hello", ""))
	wantConsistent(t, out)
	if out.Error != nil || len(out.Attempts) != 2 || *out.Usage != (schema.Usage{PromptTokens: 3, CompletionTokens: 2, TotalTokens: 5}) || *out.Cost != 2.5 {
		t.Fatalf("%+v %v", out, out.Error)
	}
	if e := out.Attempts[0].Error; e.Class != schema.ClassTransient || e.Code != "tired" || e.Message != "later" || e.StatusCode != 503 {
		t.Errorf("first attempt: %+v", e)
	}
	if content := said(t, out); content != "grr" {
		t.Errorf("said %q", content)
	}
	if want := `PUT /speak/bear/whole ` + testKey + ` {"dialect":"ursine","say":[["user","hello"]]}`; s.calls[1] != want {
		t.Errorf("sent %s\nwant %s", s.calls[1], want)
	}
	for _, tt := range []struct {
		answer string
		class  schema.Class
	}{
		{`{"trouble":{"what":"out of breath","words":"too fast"}}`, schema.ClassRateLimited},
		{`{"trouble":{"what":"broken","words":"an eye is missing"}}`, schema.ClassUpstreamFatal},
		{`{"said":""}`, schema.ClassTransient},
		{`<html>no toy</html>`, schema.ClassTransient},
		{`{"trouble":{"what":"insufficient_quota","words":"x"}}`, schema.ClassUpstreamFatal},
	} {
		s := toys(t, says(200, tt.answer))
		out := start(t, &Config{Deployments: []Deployment{s.at("toy")}, NumRetries: &retries0}, noWait).Do(background, ask1("g", "x", ""))
		wantConsistent(t, out)
		if len(out.Attempts) != 1 || out.Attempts[0].Error == nil || out.Attempts[0].Error.Class != tt.class {
			t.Errorf("%s: %+v", tt.answer, out.Attempts)
		}
	}
}

func said(t *testing.T, out Outcome) string {
	t.Helper()
	var body struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal(out.Response.Body, &body); err != nil || len(body.Choices) == 0 {
		t.Fatalf("%v: %s", err, out.Response.Body)
	}
	return body.Choices[0].Message.Content
}

// A wait that the body asks for is kept to.
func TestDoWaits(t *testing.T) {
	s := toys(t, says(200, `{"trouble":{"what":"out of breath","words":"too fast","wait":3600}}`))
	req := ask1("g", "x", "")
	req.Timeout = 2 * time.Hour
	out := start(t, &Config{Deployments: []Deployment{s.at("toy")}}, noWait).Do(background, req)
	wantConsistent(t, out)
	if out.Park == nil || time.Until(out.Park.ReadyAt) < 50*time.Minute {
		t.Errorf("%+v", out)
	}
}

// A setting that is a secret does not come back out of an answer, and one that is
// none may.
func TestSecretSettings(t *testing.T) {
	const hidden = "wJalrXUtnFEMI-0123456789"
	s := toys(t, says(400, `{"trouble":{"what":"lost","words":"who is `+hidden+` in region us-east-1?"}}`))
	d := s.at("toy", func(d *Deployment) {
		d.Settings = map[string]Secret{"aws_secret_access_key": NewSecret(hidden), "aws_region_name": NewSecret("us-east-1")}
	})
	out := start(t, &Config{Deployments: []Deployment{d}}, noWait).Do(background, ask1("g", "x", ""))
	text, err := json.Marshal(out)
	if err != nil || strings.Contains(string(text), hidden) || !strings.Contains(out.Error.Message, "who is [redacted] in region us-east-1?") {
		t.Errorf("%v: %s", err, text)
	}
}

// What a protocol cannot carry is refused with the parameter's name and without a
// call, or left out.
func TestUnsupportedParameter(t *testing.T) {
	s := toys(t, says(200, `{"said":"grr"}`))
	req := ask1("g", "x", "")
	req.Body = json.RawMessage(strings.Replace(string(req.Body), "{", `{"temperature":1,`, 1))
	out := start(t, &Config{Deployments: []Deployment{s.at("toy")}}, noWait).Do(background, req)
	wantConsistent(t, out)
	if out.Error == nil || out.Error.Class != schema.ClassRequestFatal || out.Error.Code != protocol.CodeUnsupported || out.Error.Param != "temperature" || len(s.calls) != 0 {
		t.Errorf("%v after %d calls", out.Error, len(s.calls))
	}
	drops := s.at("toy", func(d *Deployment) { d.DropParams = true })
	if out := start(t, &Config{Deployments: []Deployment{drops}}, noWait).Do(background, req); out.Error != nil || len(s.calls) != 1 {
		t.Errorf("%v after %d calls", out.Error, len(s.calls))
	}
}

// A stream in frames of its own: chunks come as they are, the whole is the plain
// answer, and one that breaks off or fails is tried again.
func TestStream(t *testing.T) {
	whole := inFrames(prototest.Frame('p', ""), prototest.Frame('t', "gr"), prototest.Frame('t', "owl"), prototest.Frame('.', `{"cost":[3,2]}`))
	for name, begins := range map[string]http.HandlerFunc{
		"whole":           nil,
		"cut":             inFrames(prototest.Frame('t', "gr")),
		"cut in a frame":  inFrames(prototest.Frame('t', "gr")[:6]),
		"an error":        inFrames(prototest.Frame('t', "gr"), prototest.Frame('.', `{"trouble":{"what":"tired","words":"x"}}`)),
		"a whole error":   says(500, `{"trouble":{"what":"tired","words":"x"}}`),
		"an odd frame":    inFrames(prototest.Frame('t', "gr"), prototest.Frame('?', "")),
		"nothing but end": inFrames(prototest.Frame('.', `{}`)),
	} {
		t.Run(name, func(t *testing.T) {
			handlers, attempts := []http.HandlerFunc{whole}, 1
			if begins != nil {
				handlers, attempts = []http.HandlerFunc{begins, whole}, 2
			}
			s := toys(t, handlers...)
			h := &heard{}
			r := start(t, &Config{Deployments: []Deployment{s.at("toy")}, CooldownTime: new(time.Duration)}, noWait)
			out := r.Do(background, Request{Body: json.RawMessage(`{"model":"g","stream":true,"messages":[{"role":"user","content":"x"}]}`), Listener: h, Events: true})
			wantConsistent(t, out)
			if out.Error != nil || len(out.Attempts) != attempts || said(t, out) != "growl" || out.Usage == nil {
				t.Fatalf("%+v %v", out, out.Error)
			}
			if last := out.Attempts[attempts-1]; last.TTFTMs == nil || last.Usage.TotalTokens != 5 {
				t.Errorf("%+v", last)
			}
			var text string
			for _, c := range h.chunks {
				if c.attempt == attempts {
					text += c.data
				}
			}
			if strings.Count(text, "chat.completion.chunk") != 2 || !strings.Contains(text, `"owl"`) {
				t.Errorf("chunks %s", text)
			}
		})
	}
	s := toys(t, inFrames(prototest.Frame('t', strings.Repeat("x", 2000))))
	out := start(t, &Config{Deployments: []Deployment{s.at("toy")}, MaxResponseBytes: 1000}, noWait).Do(background, Request{Body: json.RawMessage(`{"model":"g","stream":true,"messages":[]}`)})
	if out.Error == nil || out.Error.Code != codeTooLarge {
		t.Errorf("beyond the bound: %v", out.Error)
	}
}

// In one group and across groups, a toy and a server of OpenAI's protocol make up
// for each other, with and without a stream.
func TestFallbackAcross(t *testing.T) {
	openAI := llm(t, faultyllm.Config{Answer: "one two"})
	failing := toys(t, says(500, `{"trouble":{"what":"tired","words":"x"}}`))
	fine := toys(t, says(200, `{"said":"grr","cost":[1,1]}`))
	ask := func(r *Router, model, more string) (Outcome, *heard) {
		h := &heard{}
		out := r.Do(background, Request{Body: json.RawMessage(`{"model":"` + model + `"` + more + `,"messages":[{"role":"user","content":"x"}]}`), Listener: h})
		wantConsistent(t, out)
		return out, h
	}
	mixed := start(t, &Config{Deployments: []Deployment{failing.at("toy", first), on(openAI, "openai", "g", second)}}, noWait)
	if out, _ := ask(mixed, "g", ""); out.Error != nil || went(out) != "toy openai" || said(t, out) != "one two" {
		t.Errorf("in a group: %s: %v", went(out), out.Error)
	}
	mixed = start(t, &Config{Deployments: []Deployment{failing.at("toy", first), on(openAI, "openai", "g", second)}}, noWait)
	if out, h := ask(mixed, "g", `,"stream":true`); out.Error != nil || went(out) != "toy openai" || said(t, out) != "one two" || len(h.chunks) < 3 {
		t.Errorf("streamed: %s: %v, %d chunks", went(out), out.Error, len(h.chunks))
	}
	other := fine.at("toy", func(d *Deployment) { d.Group = "other" })
	broken := Deployment{ID: "broken", Group: "g", Model: "m", BaseURL: failing.URL + "/v1"}
	across := start(t, &Config{Deployments: []Deployment{broken, other}, NumRetries: &retries0, Fallbacks: map[string][]string{"g": {"other"}}}, noWait)
	if out, _ := ask(across, "g", ""); out.Error != nil || went(out) != "broken toy" || said(t, out) != "grr" {
		t.Errorf("across: %s: %v", went(out), out.Error)
	}
	// An endpoint that one of them lacks goes to the other, and nowhere if it is alone.
	embed := Request{Endpoint: schema.Embeddings, Body: json.RawMessage(`{"model":"g","input":"x"}`)}
	if out := mixed.Do(background, embed); out.Error != nil || went(out) != "openai" {
		t.Errorf("embeddings: %s: %v", went(out), out.Error)
	}
	embed.Body = json.RawMessage(`{"model":"other","input":"x"}`)
	if out := across.Do(background, embed); out.Error == nil || out.Error.Code != codeNoEndpoint || len(out.Attempts) != 0 {
		t.Errorf("embeddings alone: %v", out.Error)
	}
}

// A check asks the protocol for the list of models.
func TestCheckAsksTheProtocol(t *testing.T) {
	s := toys(t, says(200, `{"names":["bear","rabbit"]}`))
	r := start(t, &Config{Deployments: []Deployment{s.at("toy"), s.at("hare", func(d *Deployment) { d.Model = "hare" })}})
	got := r.Check(background)
	if got[0].Model != Listed || got[1].Model != NotListed || got[0].Error != nil || s.calls[0][:10] != "GET /names" {
		t.Errorf("%+v %q", got, s.calls)
	}
}

func TestUnknownProtocol(t *testing.T) {
	_, err := New(&Config{Deployments: []Deployment{{Group: "g", Model: "m", BaseURL: "http://h", Protocol: "smoke"}}})
	if err == nil || !strings.Contains(err.Error(), `unknown protocol "smoke": want `) {
		t.Error(err)
	}
}
