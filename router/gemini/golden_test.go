package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// golden is one recorded case: what LiteLLM sends for a body, and makes of an
// answer.
type golden struct {
	Note    string
	Input   map[string]json.RawMessage
	Request *struct {
		Method, URL string
		Headers     map[string]string
		Body        any
	}
	Answer *struct {
		Status    int
		Headers   map[string]string
		Body      json.RawMessage
		Events    []json.RawMessage
		Text      string
		Exception string
	}
	Output struct {
		Response any
		Chunks   []any
		Error    *struct{ Class string }
	}
	Mark, Want string
}

func goldenCases(t *testing.T, folder string) map[string]golden {
	t.Helper()
	data := os.Getenv("PELTON_TEST_DATA")
	if data == "" {
		t.Skip("PELTON_TEST_DATA names no folder of recorded cases")
	}
	files, err := filepath.Glob(filepath.Join(data, "golden", folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", folder, err)
	}
	cases := map[string]golden{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(raw, &g); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		cases[strings.TrimSuffix(filepath.Base(file), ".json")[len("000-"):]] = g
	}
	return cases
}

// TestGolden holds what is sent, and what is made of answers, against what LiteLLM
// does, or against what is right where that is something else.
func TestGolden(t *testing.T) {
	for _, folder := range []string{"gemini", "vertex"} {
		for name, g := range goldenCases(t, folder) {
			var model string
			_ = json.Unmarshal(g.Input["model"], &model)
			if folder == "vertex" && (model == "" || strings.Contains(model, "claude")) {
				continue // the exchange of tokens, and another protocol
			}
			t.Run(folder+"/"+name, func(t *testing.T) {
				want, other := differs[folder+"/"+name]
				if g.Mark != "" && !other && !slices.Contains(agree, folder+"/"+name) {
					t.Fatalf("marked %q, wanted %q: nobody said what is right", g.Mark, g.Want)
				}
				g.run(t, model, want)
			})
		}
	}
}

func (g *golden) run(t *testing.T, model string, want wanted) {
	p, c := g.call(t, model)
	err := p.Encode(t.Context(), c)
	var e *schema.Error
	switch errors.As(err, &e); {
	case err != nil && e == nil:
		t.Fatal(err)
	case want.refused != "" && (err == nil || e.Param != want.refused || e.Class != schema.ClassRequestFatal):
		t.Fatalf("got %v, want a refusal of %s", err, want.refused)
	case want.refused != "":
		return
	case err != nil && g.Request == nil && want.request == "":
		return
	case err != nil:
		t.Fatalf("refused: %v", err)
	case g.Request == nil && want.request == "":
		t.Fatalf("LiteLLM refuses it, and it was sent: %s", sent(t, c))
	}
	g.checkRequest(t, c, want)
	g.checkAnswer(t, p, c, want)
}

// call makes the protocol and the call of a case.
func (g *golden) call(t *testing.T, model string) (protocol.Protocol, *protocol.Call) {
	t.Helper()
	var params map[string]any
	if err := json.Unmarshal(g.Input["_litellm_params"], &params); err != nil {
		t.Fatal(err)
	}
	text := func(key string) string { s, _ := params[key].(string); return s }
	provider, name, _ := strings.Cut(model, "/")
	u := protocol.Upstream{ID: "golden", Model: name, BaseURL: text("api_base"), Key: text("api_key"), DropParams: params["drop_params"] == true, Settings: map[string]string{}}
	for key := range params {
		if strings.HasPrefix(key, "vertex_p") || strings.HasPrefix(key, "vertex_l") {
			u.Settings[key] = text(key)
		}
	}
	if headers, _ := params["extra_headers"].(map[string]any); headers != nil {
		u.Headers = map[string]string{}
		for key, value := range headers {
			u.Headers[key] = value.(string)
		}
	}
	build := New
	if provider == "vertex_ai" {
		build = NewVertex
		u.Token = func(context.Context) (string, error) { return "ya29.test", nil }
	}
	p, err := build(u)
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]json.RawMessage{}
	for key, value := range g.Input {
		if key != "_litellm_params" {
			body[key] = value
		}
	}
	body["model"], _ = json.Marshal(name)
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return p, &protocol.Call{Endpoint: schema.ChatCompletions, Model: name, Body: raw, Streamed: string(g.Input["stream"]) == "true"}
}

func sent(t *testing.T, c *protocol.Call) []byte {
	t.Helper()
	raw, err := io.ReadAll(c.Req.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (g *golden) checkRequest(t *testing.T, c *protocol.Call, want wanted) {
	t.Helper()
	raw := sent(t, c)
	var got, body any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("what is sent is no JSON: %v\n%s", err, raw)
	}
	switch {
	case want.request != "":
		body = decode(t, want.request)
	default:
		body = g.Request.Body
	}
	if sent, ok := body.(map[string]any); ok && sent["stream"] == false { // LiteLLM says what is so anyway
		delete(sent, "stream")
	}
	if !reflect.DeepEqual(got, body) {
		t.Errorf("sent\n%s\nwant\n%s", pretty(got), pretty(body))
	}
	if want.url != "" && c.Req.URL.String() != want.url {
		t.Errorf("sent to %s, want %s", c.Req.URL, want.url)
	}
	if g.Request == nil {
		return
	}
	at := strings.Replace(g.Request.URL, "/v1alpha/", "/v1beta/", 1) // the version that has all, for every model
	if want.url != "" {
		at = want.url
	}
	if c.Req.Method != g.Request.Method || c.Req.URL.String() != at {
		t.Errorf("%s %s, want %s %s", c.Req.Method, c.Req.URL, g.Request.Method, at)
	}
	for name, value := range g.Request.Headers {
		if c.Req.Header.Get(name) != value {
			t.Errorf("header %s is %q, want %q", name, c.Req.Header.Get(name), value)
		}
	}
}

func (g *golden) checkAnswer(t *testing.T, p protocol.Protocol, c *protocol.Call, want wanted) {
	t.Helper()
	if g.Answer == nil || g.Answer.Exception != "" { // the transport's, not the protocol's
		return
	}
	reply := protocol.Reply{Status: g.Answer.Status, Header: http.Header{}, At: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	for name, value := range g.Answer.Headers {
		reply.Header.Set(name, value)
	}
	var a protocol.Answer
	var chunks []any
	if g.Answer.Events != nil {
		var wire bytes.Buffer
		for _, event := range g.Answer.Events {
			wire.WriteString("data: ")
			if err := json.Compact(&wire, event); err != nil {
				t.Fatal(err)
			}
			wire.WriteString("\r\n\r\n")
		}
		a, chunks = readStream(t, p, c, reply, &wire)
	} else {
		if reply.Body = g.Answer.Body; g.Answer.Text != "" {
			reply.Body = []byte(g.Answer.Text)
		}
		a = p.Decode(c, reply)
	}
	if class, code := classOf(reply.Status, &a); class != "" || want.class != "" || g.Output.Error != nil && want.response == "" {
		expected := want.class
		if expected == "" && g.Output.Error != nil {
			expected = classes[g.Output.Error.Class]
		}
		if class != expected || want.code != "" && want.code != code {
			t.Errorf("class %q, code %q, want %q %q: %+v", class, code, expected, want.code, a.Fault)
		}
		return
	}
	if g.Answer.Events != nil {
		g.checkChunks(t, chunks)
		return
	}
	expected := g.Output.Response
	if want.response != "" {
		expected = decode(t, want.response)
	}
	unnumber(expected)
	if got, expected := tidy(decode(t, string(a.Body))), tidy(expected); !reflect.DeepEqual(got, expected) {
		t.Errorf("answer\n%s\nwant\n%s", pretty(got), pretty(expected))
	}
}

// unnumber takes the indexes of calls away, which only streams have.
func unnumber(response any) {
	choices, _ := response.(map[string]any)["choices"].([]any)
	for _, choice := range choices {
		message, _ := choice.(map[string]any)["message"].(map[string]any)
		calls, _ := message["tool_calls"].([]any)
		for _, call := range calls {
			delete(call.(map[string]any), "index")
		}
	}
}

func (g *golden) checkChunks(t *testing.T, got []any) {
	t.Helper()
	want := slices.Clone(g.Output.Chunks)
	for i := range want {
		if usage, _ := want[i].(map[string]any)["usage"].(map[string]any); usage != nil {
			delete(usage, "cost")
		}
		want[i] = tidy(want[i])
	}
	for i := range got {
		choices, _ := got[i].(map[string]any)["choices"].([]any)
		for _, one := range choices { // LiteLLM leaves the native reason out of its streams
			delete(one.(map[string]any), "provider_specific_fields")
		}
		got[i] = tidy(got[i])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("chunks\n%s\nwant\n%s", pretty(got), pretty(want))
	}
}

func readStream(t *testing.T, p protocol.Protocol, c *protocol.Call, reply protocol.Reply, wire io.Reader) (protocol.Answer, []any) {
	t.Helper()
	s, document := p.Stream(c, reply, wire, 1<<20)
	if s == nil {
		raw, _ := io.ReadAll(document)
		t.Fatalf("no stream: %s", raw)
	}
	var chunks []any
	for {
		chunk, err := s.Next()
		if err != nil {
			if err != io.EOF && err != protocol.ErrFailed {
				t.Fatal(err)
			}
			return s.Answer(), chunks
		}
		if len(chunk) > 0 {
			chunks = append(chunks, decode(t, string(chunk)))
		}
	}
}

// classes are what LiteLLM's exceptions are here.
var classes = map[string]schema.Class{
	"BadRequestError": schema.ClassRequestFatal, "AuthenticationError": schema.ClassUpstreamFatal, "NotFoundError": schema.ClassUpstreamFatal,
	"ContextWindowExceededError": schema.ClassContextWindow, "RateLimitError": schema.ClassRateLimited, "InternalServerError": schema.ClassTransient,
	"ServiceUnavailableError": schema.ClassTransient, "Timeout": schema.ClassTransient, "APIConnectionError": schema.ClassTransient,
	"MidStreamFallbackError": schema.ClassTransient,
}

// classOf is what the router makes of an answer; "" is success.
func classOf(status int, a *protocol.Answer) (class schema.Class, code string) {
	if status >= 200 && status < 300 && !a.Failed {
		switch {
		case a.Lacks != "":
			return schema.ClassTransient, "lacks"
		case a.Cut != "":
			return schema.ClassTransient, "cut"
		}
		return "", ""
	}
	if status >= 200 && status < 300 && a.Fault.Status != 0 {
		status = a.Fault.Status
	}
	return protocol.ClassOf(status, &a.Fault), a.Fault.Code
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func pretty(v any) string {
	text, _ := json.MarshalIndent(v, "", " ")
	return string(text)
}

// tidy leaves out what may differ: nulls and what is empty, times, made-up ids, and
// how the JSON of arguments is written.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			text, _ := value.(string)
			var arguments any
			switch {
			case key == "created":
				continue
			case key == "model": // LiteLLM puts its own prefix before some
				value = strings.TrimPrefix(text, "vertex_ai/")
			case key == "id" && (strings.HasPrefix(text, "call_") || strings.HasPrefix(text, "chatcmpl-")):
				value = "*"
			case key == "arguments" && json.Unmarshal([]byte(text), &arguments) == nil:
				value = arguments
			}
			if value = tidy(value); value != nil {
				out[key] = value
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		var out []any
		for _, value := range v {
			if value = tidy(value); value != nil {
				out = append(out, value)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return v
}
