package anthropic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"pelton/router/internal/golden"
	"pelton/router/protocol"
	"pelton/schema"
)

// allEvents are a stream with every kind of block.
var allEvents = []string{
	`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":1}}}`,
	`{"type":"ping"}`,
	`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m\u2026"}}`,
	`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}`,
	`{"type":"content_block_stop","index":0}`,
	`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"eHl6"}}`,
	`{"type":"content_block_stop","index":1}`,
	`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}`,
	`{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Os\ud83d"}}`,
	`{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"\ude00lo"}}`,
	`{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"Oslo"}}}`,
	`{"type":"content_block_stop","index":2}`,
	`{"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}}`,
	`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}`,
	`{"type":"content_block_stop","index":3}`,
	`{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"t1","name":"a_b","input":{}}}`,
	`{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}`,
	`{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"\"\u00e9\"}"}}`,
	`{"type":"content_block_stop","index":4}`,
	`{"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"t2","name":"ping","input":{}}}`,
	`{"type":"content_block_stop","index":5}`,
	`{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":30,"output_tokens_details":{"thinking_tokens":7}}}`,
	`{"type":"message_stop"}`,
}

// allWhole is the same answer in one piece.
const allWhole = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[
	{"type":"thinking","thinking":"Hmm\u2026","signature":"c2ln"},{"type":"redacted_thinking","data":"eHl6"},
	{"type":"text","text":"Os\ud83d\ude00lo","citations":[{"type":"char_location","cited_text":"Oslo"}]},
	{"type":"server_tool_use","id":"s1","name":"web_search","input":{"q":1}},
	{"type":"tool_use","id":"t1","name":"a_b","input":{"x":"é"}},{"type":"tool_use","id":"t2","name":"ping","input":{}}],
	"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":100,"output_tokens":30,"output_tokens_details":{"thinking_tokens":7}}}`

// sse is events as they are sent.
func sse(events []string) string {
	var out strings.Builder
	for _, event := range events {
		var e struct{ Type string }
		_ = json.Unmarshal([]byte(event), &e)
		fmt.Fprintf(&out, "event: %s\ndata: %s\n\n", e.Type, event)
	}
	return out.String()
}

// aws is events in AWS's frames.
func aws(t *testing.T, events []string) string {
	t.Helper()
	var out bytes.Buffer
	encoder := eventstream.NewEncoder()
	for _, event := range events {
		m := eventstream.Message{Payload: []byte(`{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(event)) + `"}`)}
		m.Headers.Set(":message-type", eventstream.StringValue("event"))
		m.Headers.Set(":event-type", eventstream.StringValue("chunk"))
		if err := encoder.Encode(&out, m); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// exception is a frame that tells of an error.
func exception(t *testing.T, name, message string) string {
	t.Helper()
	var out bytes.Buffer
	m := eventstream.Message{Payload: []byte(`{"message":"` + message + `"}`)}
	m.Headers.Set(":message-type", eventstream.StringValue("exception"))
	m.Headers.Set(":exception-type", eventstream.StringValue(name))
	if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const asked = `{"max_tokens":9,"stream":true,"stream_options":{"include_usage":true},"tools":[{"type":"function","function":{"name":"a.b"}},{"type":"function","function":{"name":"ping"}}],"messages":[{"role":"user","content":"Hi"}]}`

func anthropicCall(t *testing.T) (protocol.Protocol, *protocol.Call, http.Header) {
	t.Helper()
	p, err := New(protocol.Upstream{Key: "sk-canary", Model: "claude-sonnet-4-6"})
	return encodedCall(t, p, err, "text/event-stream; charset=utf-8")
}

func bedrockCall(t *testing.T) (protocol.Protocol, *protocol.Call, http.Header) {
	t.Helper()
	p, err := bedrock(protocol.Upstream{Model: "claude-sonnet-4-6", Settings: map[string]string{"aws_region_name": "us-east-1"}}, nil)
	return encodedCall(t, p, err, framesType)
}

func encodedCall(t *testing.T, p protocol.Protocol, err error, kind string) (protocol.Protocol, *protocol.Call, http.Header) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude-sonnet-4-6", Body: []byte(asked), Streamed: true}
	if err := p.Encode(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return p, c, http.Header{"Content-Type": {kind}}
}

// readAll reads a stream to its end.
func readAll(t *testing.T, s protocol.Stream) (chunks []object, grew int, end error) {
	t.Helper()
	for {
		chunk, err := s.Next()
		if err != nil {
			return chunks, grew, err
		}
		if s.Grew() {
			grew++
		}
		if len(chunk) > 0 {
			var one object
			if err := json.Unmarshal(chunk, &one); err != nil {
				t.Fatalf("a chunk is no JSON: %v\n%s", err, chunk)
			}
			chunks = append(chunks, one)
		}
	}
}

// TestStreamIsTheWhole reads the same answer as a stream of each framing, cut into
// single bytes, and in one piece: all make the same.
func TestStreamIsTheWhole(t *testing.T) {
	for name, way := range map[string]struct {
		of   func(*testing.T) (protocol.Protocol, *protocol.Call, http.Header)
		body string
	}{"events": {anthropicCall, sse(allEvents)}, "frames": {bedrockCall, aws(t, allEvents)}} {
		t.Run(name, func(t *testing.T) {
			p, c, h := way.of(t)
			whole := p.Decode(c, protocol.Reply{Status: 200, Body: []byte(allWhole)})
			s, document := p.Stream(c, protocol.Reply{Status: 200, Header: h}, iotest.OneByteReader(strings.NewReader(way.body)), 1<<20)
			if s == nil {
				t.Fatalf("no stream, but the document %v", document)
			}
			chunks, grew, err := readAll(t, s)
			if err != io.EOF {
				t.Fatal(err)
			}
			made := s.Answer()
			if made.Cut != "" || made.Failed || made.Lacks != "" {
				t.Fatalf("%+v", made)
			}
			var g, w object
			if err := errors.Join(json.Unmarshal(made.Body, &g), json.Unmarshal(whole.Body, &w)); err != nil {
				t.Fatalf("%v\n%s\n%s", err, made.Body, whole.Body)
			}
			if !golden.Same(g, w) {
				t.Errorf("the stream makes\n%s\nthe whole is\n%s", made.Body, whole.Body)
			}
			want := protocol.Usage{Known: true, Input: 115, Output: 30, Total: 145, CacheRead: 100, CacheWrite: 5, Reasoning: 7}
			if made.Usage != want || whole.Usage != want {
				t.Errorf("usage is %+v and %+v, want %+v", made.Usage, whole.Usage, want)
			}
			if grew < 9 {
				t.Errorf("%d events brought something", grew)
			}
			calls := golden.Added(chunks)["tool_calls"].([]any)
			if len(calls) != 2 || calls[0].(object)["name"] != "a.b" || calls[0].(object)["arguments"] != `{"x":"é"}` || calls[1].(object)["arguments"] != "{}" {
				t.Errorf("calls are %v", calls)
			}
			if last := chunks[len(chunks)-1]; last["usage"] == nil || len(last["choices"].([]any)) != 0 {
				t.Errorf("the last chunk tells no usage: %v", last)
			}
		})
	}
}

// TestCutStreamIsNoSuccess cuts a stream at every byte before its reason.
func TestCutStreamIsNoSuccess(t *testing.T) {
	for name, way := range map[string]struct {
		of   func(*testing.T) (protocol.Protocol, *protocol.Call, http.Header)
		body string
	}{"events": {anthropicCall, sse(allEvents[:len(allEvents)-2])}, "frames": {bedrockCall, aws(t, allEvents[:len(allEvents)-2])}} {
		t.Run(name, func(t *testing.T) {
			p, c, h := way.of(t)
			for end := 1; end <= len(way.body); end += 7 {
				s, document := p.Stream(c, protocol.Reply{Status: 200, Header: h}, strings.NewReader(way.body[:end]), 1<<20)
				if s == nil {
					raw, _ := io.ReadAll(document)
					if made := p.Decode(c, protocol.Reply{Status: 200, Header: http.Header{}, Body: raw}); !made.Failed {
						t.Fatalf("cut at %d: %+v", end, made)
					}
					continue
				}
				_, _, err := readAll(t, s)
				if made := s.Answer(); err == io.EOF && made.Cut == "" && !made.Failed {
					t.Fatalf("cut at %d: %+v", end, made)
				}
			}
		})
	}
}

func TestFaultsInStreams(t *testing.T) {
	begun := allEvents[:11]
	for name, test := range map[string]struct {
		of    func(*testing.T) (protocol.Protocol, *protocol.Call, http.Header)
		body  string
		class schema.Class
	}{
		"overloaded": {anthropicCall, sse(begun) + sse([]string{`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`}), schema.ClassTransient},
		"paced":      {anthropicCall, sse(begun) + sse([]string{`{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`}), schema.ClassRateLimited},
		"bad":        {anthropicCall, sse(begun) + sse([]string{`{"type":"error","error":{"type":"invalid_request_error","message":"no"}}`}), schema.ClassRequestFatal},
		"at once":    {anthropicCall, sse([]string{`{"type":"error","error":{"type":"api_error","message":"no"}}`}), schema.ClassTransient},
		"no JSON":    {anthropicCall, sse(begun) + "event: ping\ndata: {oops\n\n", schema.ClassTransient},
		"throttled":  {bedrockCall, aws(t, begun) + exception(t, "throttlingException", "Too many tokens"), schema.ClassRateLimited},
		"model":      {bedrockCall, aws(t, begun) + exception(t, "modelStreamErrorException", "oh"), schema.ClassTransient},
		"validation": {bedrockCall, exception(t, "validationException", "Input is too long for requested model."), schema.ClassContextWindow},
	} {
		t.Run(name, func(t *testing.T) {
			p, c, h := test.of(t)
			s, _ := p.Stream(c, protocol.Reply{Status: 200, Header: h}, strings.NewReader(test.body), 1<<20)
			if s == nil {
				t.Fatal("no stream")
			}
			if _, _, err := readAll(t, s); !errors.Is(err, protocol.ErrFailed) {
				t.Fatalf("it ended with %v", err)
			}
			made := s.Answer()
			if class := protocol.ClassOf(max(made.Fault.Status, 200), &made.Fault); !made.Failed || class != test.class {
				t.Errorf("class is %s, want %s: %+v", class, test.class, made.Fault)
			}
			if !json.Valid(made.Body) && made.JSON {
				t.Errorf("the body is no JSON: %s", made.Body)
			}
			if strings.Contains(test.body, "msg_1") && !strings.Contains(string(made.Body), "Hm") && made.JSON {
				t.Errorf("what came is lost: %s", made.Body)
			}
		})
	}
}

func TestLongStream(t *testing.T) {
	p, c, h := anthropicCall(t)
	s, _ := p.Stream(c, protocol.Reply{Status: 200, Header: h}, strings.NewReader(sse(allEvents)), 900)
	if _, _, err := readAll(t, s); !errors.Is(err, protocol.ErrTooLarge) {
		t.Errorf("it ended with %v", err)
	}
}

// TestWholeAsStream asks for a long answer, which comes as a stream, and is one
// answer all the same.
func TestWholeAsStream(t *testing.T) {
	got, c, err := encoded(t, "claude-sonnet-4-6", `{`+hi+`}`, false)
	if err != nil || !strings.Contains(got, `"stream":true`) {
		t.Fatalf("%v: %s", err, got)
	}
	p, _, h := anthropicCall(t)
	made := p.Decode(c, protocol.Reply{Status: 200, Header: h, Body: []byte(sse(allEvents))})
	if made.Failed || made.Cut != "" || !strings.Contains(string(made.Body), `"finish_reason":"tool_calls"`) {
		t.Errorf("%+v\n%s", made, made.Body)
	}
	cut := p.Decode(c, protocol.Reply{Status: 200, Header: h, Body: []byte(sse(allEvents[:12]))})
	if cut.Cut == "" {
		t.Errorf("a stream without its end is a success: %s", cut.Body)
	}
	short, _, err := encoded(t, "claude-sonnet-4-6", `{"max_tokens":1000,`+hi+`}`, false)
	if err != nil || strings.Contains(short, "stream") {
		t.Errorf("%v: %s", err, short)
	}
}

// TestSchemaByTool has a model without structured answers give one, in one piece
// and as a stream.
func TestSchemaByTool(t *testing.T) {
	p, err := New(protocol.Upstream{Key: "sk-canary", Model: "claude-sonnet-4-0"})
	if err != nil {
		t.Fatal(err)
	}
	c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: "claude-sonnet-4-0", Streamed: true,
		Body: []byte(`{"max_tokens":9,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{}}}},` + hi + `}`)}
	if err := p.Encode(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	events := []string{allEvents[0],
		`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"json_tool_call","input":{}}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}`,
		`{"type":"content_block_stop","index":0}`, allEvents[len(allEvents)-2], allEvents[len(allEvents)-1]}
	s, _ := p.Stream(c, protocol.Reply{Status: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}}, strings.NewReader(sse(events)), 1<<20)
	chunks, _, _ := readAll(t, s)
	sum := golden.Added(chunks)
	if sum["content"] != `{"x":1}` || sum["finish_reason"] != "stop" || len(sum["tool_calls"].([]any)) > 0 {
		t.Errorf("chunks make %v", sum)
	}
	for name, made := range map[string]protocol.Answer{
		"stream": s.Answer(),
		"whole": p.Decode(c, protocol.Reply{Status: 200, Body: []byte(
			`{"id":"m","model":"m","content":[{"type":"tool_use","id":"t1","name":"json_tool_call","input":{"x":1}}],"stop_reason":"tool_use"}`)}),
	} {
		var got struct {
			Choices []struct {
				Message struct{ Content string }
				Finish  string `json:"finish_reason"`
			}
		}
		if err := json.Unmarshal(made.Body, &got); err != nil || got.Choices[0].Message.Content != `{"x":1}` || got.Choices[0].Finish != "stop" {
			t.Errorf("%s: %v: %s", name, err, made.Body)
		}
	}
}
