package golden

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// classes are our classes for LiteLLM's.
var classes = map[string]schema.Class{
	"BadRequestError": schema.ClassRequestFatal, "UnsupportedParamsError": schema.ClassRequestFatal,
	"ContextWindowExceededError": schema.ClassContextWindow, "ContentPolicyViolationError": schema.ClassContentPolicy,
	"AuthenticationError": schema.ClassUpstreamFatal, "PermissionDeniedError": schema.ClassUpstreamFatal,
	"PaymentRequiredError": schema.ClassUpstreamFatal, "NotFoundError": schema.ClassUpstreamFatal,
	"RateLimitError": schema.ClassRateLimited, "InternalServerError": schema.ClassTransient, "Timeout": schema.ClassTransient,
	"BadGatewayError": schema.ClassTransient, "ServiceUnavailableError": schema.ClassTransient, "APIError": schema.ClassTransient,
	"APIConnectionError": schema.ClassTransient,
}

// checkAnswer compares what an answer becomes with what was recorded.
func (s *Suite) checkAnswer(t *testing.T, c *Case, p protocol.Protocol, call *protocol.Call) {
	t.Helper()
	if c.Answer == nil || c.Answer.Exception != "" {
		return // of the connection: the router's
	}
	reply := protocol.Reply{Status: c.Answer.Status, Header: http.Header{}, At: time.Unix(1, 0)}
	for name, value := range c.Answer.Headers {
		reply.Header.Set(name, value)
	}
	var made protocol.Answer
	var chunks []Object
	var broken error
	wire := c.stream(t)
	if wire != nil {
		made, chunks, broken = readStream(t, p, call, reply, wire)
	} else {
		if reply.Body = c.Answer.Body; reply.Body == nil {
			reply.Body = []byte(c.Answer.Text)
		}
		made = p.Decode(call, reply)
	}
	lacks, another := s.Lacks[c.ID], s.Answers[c.ID]
	switch {
	case lacks != "":
		if made.Failed || !strings.Contains(made.Lacks+made.Cut, lacks) {
			t.Errorf("%+v", made)
		}
		return
	case broken != nil:
		if c.Output.Error == nil || made.Cut == "" {
			t.Errorf("%v: %+v", broken, made)
		}
		return
	case c.Output.Error != nil && another == nil:
		s.checkFault(t, c, made, reply.Status)
		return
	case made.Failed || made.Lacks != "" || made.Cut != "":
		t.Fatalf("the answer is a failure: %+v", made)
	}
	var got Object
	if err := json.Unmarshal(made.Body, &got); err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, made.Body)
	}
	if wire == nil {
		g, w := s.plain(got), s.plain(c.Output.Response)
		if another != nil {
			another(w)
		}
		if !Same(g, w) {
			t.Errorf("answer is\n%s\nwant\n%s", asJSON(g), asJSON(w))
		}
		return
	}
	g, w := Added(chunks), Added(c.Output.Chunks)
	if another != nil {
		another(w)
	}
	if !Same(g, w) {
		t.Errorf("chunks make\n%s\nwant\n%s", asJSON(g), asJSON(w))
	}
	if whole := Added([]Object{got}); !Same(whole["content"], w["content"]) || !Same(whole["tool_calls"], g["tool_calls"]) {
		t.Errorf("the whole is\n%s\nwant\n%s", asJSON(whole), asJSON(w))
	}
}

// stream is a recorded stream as it comes; nil: the answer is none.
func (c *Case) stream(t *testing.T) io.Reader {
	t.Helper()
	if c.Answer.Raw != "" {
		raw, err := base64.StdEncoding.DecodeString(c.Answer.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(raw)
	}
	var events []json.RawMessage
	if _ = json.Unmarshal(c.Answer.Events, &events); len(events) == 0 {
		return nil
	}
	var out bytes.Buffer
	for _, event := range events {
		var e struct{ Type string }
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "event: %s\ndata: ", e.Type)
		if err := json.Compact(&out, event); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n\n")
	}
	return &out
}

// readStream reads a stream to its end. broken says that reading failed.
func readStream(t *testing.T, p protocol.Protocol, call *protocol.Call, reply protocol.Reply, wire io.Reader) (made protocol.Answer, chunks []Object, broken error) {
	t.Helper()
	s, _ := p.Stream(call, reply, wire, 1<<20)
	if s == nil {
		t.Fatal("no stream")
	}
	for {
		chunk, err := s.Next()
		if err != nil {
			if err != io.EOF && err != protocol.ErrFailed {
				broken = err
			}
			return s.Answer(), chunks, broken
		}
		if len(chunk) > 0 {
			var one Object
			if err := json.Unmarshal(chunk, &one); err != nil {
				t.Fatalf("a chunk is no JSON: %v\n%s", err, chunk)
			}
			chunks = append(chunks, one)
		}
	}
}

func (s *Suite) checkFault(t *testing.T, c *Case, made protocol.Answer, status int) {
	t.Helper()
	if !made.Failed {
		t.Fatalf("the answer is no failure: %+v", made)
	}
	want, ok := s.Classes[c.ID]
	if !ok {
		want = classes[c.Output.Error.Class]
	}
	if status < 300 && made.Fault.Status != 0 {
		status = made.Fault.Status
	}
	if got := protocol.ClassOf(status, &made.Fault); got != want || want == "" {
		t.Errorf("class is %q, want %q (%s): %+v", got, want, c.Output.Error.Class, made.Fault)
	}
}

// plain is an answer without what LiteLLM adds of its own: counts that it guesses,
// members that are empty, an index of calls that only streams have, and the same
// thing twice.
func (s *Suite) plain(answer Object) Object {
	if answer = maps.Clone(answer); answer == nil {
		answer = Object{}
	}
	delete(answer, "created")
	delete(answer, "id")
	choices, _ := answer["choices"].([]any)
	for _, choice := range choices {
		s.plainMessage(choice.(Object)["message"].(Object))
	}
	if usage, ok := answer["usage"].(Object); ok {
		plainUsage(usage)
	}
	return answer
}

func (s *Suite) plainMessage(message Object) {
	if message["content"] == nil {
		delete(message, "content")
	}
	if message["reasoning_content"] == "" {
		delete(message, "reasoning_content")
	}
	if own, ok := message["provider_specific_fields"].(Object); ok {
		for _, name := range s.Own {
			delete(own, name)
		}
		maps.DeleteFunc(own, func(_ string, value any) bool { return value == nil })
		if len(own) == 0 {
			delete(message, "provider_specific_fields")
		}
	}
	if calls, ok := message["tool_calls"].([]any); ok {
		for _, call := range calls {
			delete(call.(Object), "index")
			function := call.(Object)["function"].(Object)
			function["arguments"] = compact(function["arguments"].(string))
		}
	} else if content, ok := message["content"].(string); ok {
		message["content"] = compact(content)
	}
}

func plainUsage(usage Object) {
	delete(usage, "cost")
	delete(usage, "billed_units")
	for _, inner := range []any{usage["prompt_tokens_details"], usage["completion_tokens_details"], usage} {
		if details, ok := inner.(Object); ok {
			for _, own := range []string{"text_tokens", "cache_creation_tokens", "reasoning_tokens"} {
				delete(details, own)
			}
			maps.DeleteFunc(details, func(_ string, value any) bool {
				inner, is := value.(Object)
				return value == 0.0 || value == nil || is && len(inner) == 0
			})
		}
	}
}

// compact is a text that is JSON without its blanks and escapes; any other stays.
func compact(text string) string {
	var value any
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &value) != nil {
		return text
	}
	return asJSON(value)
}
