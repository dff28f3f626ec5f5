// Package golden holds protocols against recorded cases: what a body of OpenAI's
// form becomes on the wire, and what a server's answer becomes again, as LiteLLM
// does both. Only tests use it. The folder of the cases is that of
// PELTON_TEST_DATA; without it, a package's few cases of its own.
package golden

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pelton/router/protocol"
	"pelton/schema"
)

// Object is a JSON object in Go's terms.
type Object = map[string]any

// Case is one recorded case.
type Case struct {
	ID     string // FOLDER/NUMBER
	Model  string // as configured, with its prefix
	Params Object // litellm_params besides the model

	Input   Object
	Request *struct {
		URL     string
		Headers map[string]string
		Body    Object
		Raw     string `json:"body_raw"`
	}
	Answer *struct {
		Status    int
		Headers   map[string]string
		Body      json.RawMessage
		Text      string
		Events    json.RawMessage // a list; or a note, where Raw holds the frames
		Raw       string          `json:"raw_base64"`
		Exception string
	}
	Output struct {
		Response Object
		Chunks   []Object
		Error    *struct {
			Class  string
			Status int
		}
	}
}

// Want is what a case becomes where LiteLLM is wrong.
type Want struct {
	Why  string
	URL  string       // empty: as recorded
	Body func(Object) // changes the recorded request, or fills an empty one where LiteLLM sent none; nil: it is refused
}

// Suite is the cases of one protocol.
type Suite struct {
	// Patterns are the files, below the folder of cases or testdata/recorded.
	Patterns []string

	// Start makes the protocol of a case's deployment, and the name of the model
	// there. A nil protocol without an error: the case is not this protocol's.
	Start func(t *testing.T, c *Case, u protocol.Upstream) (p protocol.Protocol, model string, err error)

	// Wants, Classes, Lacks and Answers are the cases that differ, by ID: their
	// requests, the classes of their errors, what their answers lack, and their
	// answers, which a function changes (for a stream, what its chunks add up to).
	Wants   map[string]Want
	Classes map[string]schema.Class
	Lacks   map[string]string
	Answers map[string]func(Object)

	// Amend changes what is expected of every case: the body and the header of the
	// request. nil: nothing.
	Amend func(c *Case, body Object, header map[string]string)

	// Sent looks at a request further; nil: not at all. It takes what it has
	// looked at out of both headers.
	Sent func(t *testing.T, c *Case, p protocol.Protocol, address string, sent, recorded map[string]string)

	// Own are members of provider_specific_fields that LiteLLM has, or Pelton, and
	// the other has not.
	Own []string
}

// Run runs all cases.
func (s *Suite) Run(t *testing.T) {
	root := "testdata/recorded"
	if dir := os.Getenv("PELTON_TEST_DATA"); dir != "" {
		root = filepath.Join(dir, "golden")
	}
	for _, pattern := range s.Patterns {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no cases in %s: %v", filepath.Join(root, pattern), err)
		}
		for _, file := range files {
			folder, name := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".json")
			t.Run(folder+"/"+name, func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				number, _, _ := strings.Cut(name, "-")
				c := &Case{ID: folder + "/" + number}
				if err := json.Unmarshal(raw, c); err != nil {
					t.Fatal(err)
				}
				s.run(t, c)
			})
		}
	}
}

func (s *Suite) run(t *testing.T, c *Case) {
	c.Params, _ = c.Input["_litellm_params"].(Object)
	delete(c.Input, "_litellm_params")
	if c.Model, _ = c.Input["model"].(string); c.Model == "" {
		t.Skip("no call of a model")
	}
	want, other := s.Wants[c.ID]
	refused := other && want.Body == nil || !other && c.Request == nil && c.Answer == nil
	p, model, err := s.Start(t, c, c.upstream())
	switch {
	case err != nil && !refused:
		t.Fatal(err)
	case err != nil:
		return
	case p == nil:
		t.Skip("another protocol's")
	}
	c.Input["model"] = model
	body, err := json.Marshal(c.Input)
	if err != nil {
		t.Fatal(err)
	}
	call := &protocol.Call{Endpoint: schema.ChatCompletions, Model: model, Body: body, Streamed: c.Input["stream"] == true}
	if err = p.Encode(t.Context(), call); refused || err != nil {
		var e *schema.Error
		if !refused || !errors.As(err, &e) || e.Class != schema.ClassRequestFatal || e.Message == "" {
			t.Fatalf("encode: %v; refused should be %v", err, refused)
		}
		return
	}
	if c.Request != nil || other {
		s.checkRequest(t, c, p, call)
	}
	s.checkAnswer(t, c, p, call)
}

// Param is a text of litellm_params.
func (c *Case) Param(name string) string { text, _ := c.Params[name].(string); return text }

// upstream is the deployment of a case, but for the model's name there.
func (c *Case) upstream() protocol.Upstream {
	drop, _ := c.Params["drop_params"].(bool)
	u := protocol.Upstream{
		ID: "golden", Key: c.Param("api_key"), BaseURL: strings.TrimRight(c.Param("api_base"), "/"), DropParams: drop,
		Headers: map[string]string{}, Settings: map[string]string{},
	}
	for name, value := range c.Params {
		if text, ok := value.(string); ok && name != "api_key" && name != "api_base" {
			u.Settings[name] = text
		}
	}
	if extra, ok := c.Params["extra_headers"].(Object); ok {
		for name, value := range extra {
			u.Headers[name] = value.(string)
		}
	}
	return u
}

// checkRequest compares what is sent with what was recorded.
func (s *Suite) checkRequest(t *testing.T, c *Case, p protocol.Protocol, call *protocol.Call) {
	t.Helper()
	raw, err := io.ReadAll(call.Req.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got Object
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("the body is no JSON: %v\n%s", err, raw)
	}
	sent := map[string]string{}
	for name, values := range call.Req.Header {
		if name != "User-Agent" {
			sent[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	body, address, header := Object{}, call.Req.URL.String(), maps.Clone(sent)
	if c.Request != nil {
		body, address, header = c.Request.Body, c.Request.URL, maps.Clone(c.Request.Headers)
	}
	if want, ok := s.Wants[c.ID]; ok {
		if want.Body(body); want.URL != "" {
			address = want.URL
		}
	}
	if s.Amend != nil && c.Request != nil {
		s.Amend(c, body, header)
	}
	if !Same(unfolded(got), unfolded(body)) {
		t.Errorf("body is\n%s\nwant\n%s", raw, asJSON(body))
	}
	if got := call.Req.URL.String(); call.Req.Method != http.MethodPost || got != address {
		t.Errorf("%s %s, want POST %s", call.Req.Method, got, address)
	}
	if s.Sent != nil && c.Request != nil {
		s.Sent(t, c, p, address, sent, header)
	}
	if !maps.Equal(sent, header) {
		t.Errorf("header is %v, want %v", sent, header)
	}
}

// unfolded reads the schema of an answer where it is JSON within a text.
func unfolded(body Object) Object {
	config, ok := body["outputConfig"].(Object)
	if !ok {
		return body
	}
	inside := config["textFormat"].(Object)["structure"].(Object)["jsonSchema"].(Object)
	var schema any
	if text, ok := inside["schema"].(string); ok && json.Unmarshal([]byte(text), &schema) == nil {
		inside["schema"] = schema
	}
	return body
}

// Same compares two values of JSON. A text in pointed brackets stands for any, and
// a star at the end for any end.
func Same(got, want any) bool {
	switch want := want.(type) {
	case string:
		text, ok := got.(string)
		begin, open := strings.CutSuffix(want, "*")
		return ok && (text == want || strings.HasPrefix(want, "<") && strings.HasSuffix(want, ">") || open && strings.HasPrefix(text, begin))
	case Object:
		g, ok := got.(Object)
		if !ok || len(g) != len(want) {
			return false
		}
		for key, value := range want {
			if other, ok := g[key]; !ok || !Same(other, value) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i := range want {
			if !Same(g[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(got, want)
}

func asJSON(value any) string {
	raw, _ := json.Marshal(value)
	return string(raw)
}
