package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func protocolFor(t testing.TB, u protocol.Upstream) protocol.Protocol {
	t.Helper()
	p, err := New(u)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func chatCall(body string, streamed bool) *protocol.Call {
	return &protocol.Call{Endpoint: schema.ChatCompletions, Model: "gemini-3.5-flash", Body: []byte(body), Streamed: streamed}
}

func decoded(t *testing.T, status int, header http.Header, body string) protocol.Answer {
	t.Helper()
	p := protocolFor(t, protocol.Upstream{Model: "gemini-3.5-flash"})
	return p.Decode(chatCall(`{`+hello+`}`, false), protocol.Reply{Status: status, Header: header, Body: []byte(body), At: noon})
}

// events are a stream in which everything comes in pieces: thoughts, text, calls,
// two candidates, a picture, probabilities, grounding.
var events = []string{
	`{"candidates":[{"content":{"parts":[{"text":"H","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":4,"thoughtsTokenCount":1,"totalTokenCount":5},"modelVersion":"m-1","responseId":"r-1"}`,
	`{"candidates":[{"content":{"parts":[{"text":"m","thought":true},{"text":"One \ud83d"}],"role":"model"},"index":0},{"content":{"parts":[{"text":"Two"}]},"index":1}],"modelVersion":"m-1","responseId":"r-1"}`,
	`{"candidates":[{"content":{"parts":[{"text":"\ude00 é"},{"functionCall":{"id":"c1","name":"f","args":{"a":"\"x\""}},"thoughtSignature":"c2ln"}]},"index":0,"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-0.1}],"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.1}]}]}}]}`,
	`{"candidates":[{"content":{"parts":[{"functionCall":{"id":"c2","name":"g"}},{"executableCode":{"code":"1"}}]},"index":0,"logprobsResult":{"chosenCandidates":[{"token":"b","logProbability":-0.2}]}},{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"finishReason":"MAX_TOKENS","index":1}]}`,
	`{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP","index":0,"groundingMetadata":{"q":["x"]}}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":9,"thoughtsTokenCount":2,"totalTokenCount":15}}`,
}

const whole = `{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"text":"One \ud83d\ude00 é"},{"functionCall":{"id":"c1","name":"f","args":{"a":"\"x\""}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"c2","name":"g"}},{"executableCode":{"code":"1"}}]},
	"finishReason":"STOP","index":0,"groundingMetadata":{"q":["x"]},"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-0.1},{"token":"b","logProbability":-0.2}],"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.1}]}]}},
	{"content":{"parts":[{"text":"Two"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},"finishReason":"MAX_TOKENS","index":1}],
	"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":9,"thoughtsTokenCount":2,"totalTokenCount":15},"modelVersion":"m-1","responseId":"r-1"}`

func wire(events []string, end string) string {
	var out strings.Builder
	for _, event := range events {
		fmt.Fprintf(&out, "data: %s%s%s", event, end, end)
	}
	return out.String()
}

func streamed(t *testing.T, body io.Reader) (protocol.Answer, []any) {
	t.Helper()
	p := protocolFor(t, protocol.Upstream{Model: "gemini-3.5-flash"})
	return readStream(t, p, chatCall(`{}`, true), protocol.Reply{Status: 200, Header: http.Header{}, At: noon}, body)
}

// A stream adds up to the answer that would have come without streaming, however
// its bytes are cut, and so do the chunks that are made of it.
func TestStreamIsTheWhole(t *testing.T) {
	want := decode(t, string(decoded(t, 200, nil, whole).Body))
	for name, reader := range map[string]io.Reader{
		"at once":      strings.NewReader(wire(events, "\r\n")),
		"by the byte":  iotest.OneByteReader(strings.NewReader(wire(events, "\n"))),
		"no last line": strings.NewReader(strings.TrimSpace(wire(events, "\n"))),
	} {
		t.Run(name, func(t *testing.T) {
			a, chunks := streamed(t, reader)
			if a.Failed || a.Cut != "" || a.Lacks != "" || !a.JSON {
				t.Fatalf("no success: %+v", a)
			}
			if got := decode(t, string(a.Body)); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", pretty(got), pretty(want))
			}
			if want := (protocol.Usage{Known: true, Input: 4, Output: 11, Total: 15, Reasoning: 2}); a.Usage != want {
				t.Errorf("usage %+v, want %+v", a.Usage, want)
			}
			text, calls, thought, roles, ends := "", "", "", 0, map[any]any{}
			for _, chunk := range chunks {
				for _, one := range chunk.(map[string]any)["choices"].([]any) {
					c := one.(map[string]any)
					delta := c["delta"].(map[string]any)
					if c["index"] == 0.0 {
						text += str(delta["content"])
						thought += str(delta["reasoning_content"])
					}
					if delta["role"] != nil {
						roles++
					}
					for _, call := range list(delta["tool_calls"]) {
						call := call.(map[string]any)
						calls += fmt.Sprint(call["index"], call["id"], call["function"].(map[string]any)["arguments"], ";")
					}
					if c["finish_reason"] != nil {
						ends[c["index"]] = c["finish_reason"]
					}
				}
			}
			if text != "One \ufffd\ufffd é" || // a character that was cut in two is whole in the answer alone
				thought != "Hm" || roles != 2 || calls != `0c1{"a":"\"x\""};1c2{};` {
				t.Errorf("text %q, thought %q, %d roles, calls %s", text, thought, roles, calls)
			}
			if want := map[any]any{0.0: "tool_calls", 1.0: "length"}; !reflect.DeepEqual(ends, want) {
				t.Errorf("ends %v", ends)
			}
		})
	}
}

func str(v any) string { s, _ := v.(string); return s }
func list(v any) []any { l, _ := v.([]any); return l }

// A stream that is cut at any byte is no success, but for what is cut off behind
// its end.
func TestStreamCutAnywhere(t *testing.T) {
	all := wire(events, "\n")
	last := strings.LastIndex(all, "data:")
	for cut := range last {
		p := protocolFor(t, protocol.Upstream{Model: "gemini-3.5-flash"})
		s, document := p.Stream(chatCall(`{}`, true), protocol.Reply{Status: 200, Header: http.Header{}, At: noon}, strings.NewReader(all[:cut]), 1<<20)
		if s == nil {
			raw, err := io.ReadAll(document)
			if err != nil || string(raw) != strings.TrimSpace(all[:cut]) {
				t.Fatalf("cut at %d: the document is %q, %v", cut, raw, err)
			}
			continue
		}
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
		if a := s.Answer(); !a.Failed && a.Cut == "" && a.Lacks == "" {
			t.Fatalf("cut at %d it is a success: %s", cut, a.Body)
		}
	}
}

// What breaks a stream off is a failure with what came before it.
func TestStreamFails(t *testing.T) {
	for name, test := range map[string]struct {
		then  string
		class schema.Class
		code  string
		body  string
	}{
		"error":     {`{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}`, schema.ClassRateLimited, "RESOURCE_EXHAUSTED", `"error":{"code":429`},
		"malformed": {`{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(","index":0}]}`, schema.ClassTransient, "MALFORMED_FUNCTION_CALL", `"Hel"`},
		"no JSON":   {`{"candidates":`, schema.ClassTransient, "invalid_event", `"Hel"`},
	} {
		t.Run(name, func(t *testing.T) {
			a, chunks := streamed(t, strings.NewReader(wire([]string{`{"candidates":[{"content":{"parts":[{"text":"Hel"}]}}],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}`, test.then, `{}`}, "\n")))
			class, code := classOf(200, &a)
			if class != test.class || code != test.code {
				t.Errorf("class %q, code %q: %+v", class, code, a.Fault)
			}
			if len(chunks) != 1 || !strings.Contains(string(a.Body), test.body) || !json.Valid(a.Body) || a.Usage.Input != 4 {
				t.Errorf("%d chunks, body %s, usage %+v", len(chunks), a.Body, a.Usage)
			}
		})
	}
	a, _ := streamed(t, strings.NewReader(wire([]string{`{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}`}, "\n")))
	if class, code := classOf(200, &a); class != schema.ClassContentPolicy || code != "SAFETY" {
		t.Errorf("a blocked prompt: %q %q", class, code)
	}
	a, _ = streamed(t, strings.NewReader(wire([]string{`{"candidates":[{"finishReason":"SAFETY","index":0}]}`}, "\n")))
	if class, code := classOf(200, &a); class != schema.ClassContentPolicy || code != "SAFETY" {
		t.Errorf("an answer that was withheld: %q %q", class, code)
	}
}

// A stream is bounded, whatever grows.
func TestStreamTooLarge(t *testing.T) {
	for name, event := range map[string]string{
		"text":    `{"candidates":[{"content":{"parts":[{"text":"` + strings.Repeat("x", 200) + `"}]}}]}`,
		"calls":   `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}`,
		"thought": `{"candidates":[{"content":{"parts":[{"thought":true,"text":"` + strings.Repeat("x", 200) + `"}]}}]}`,
	} {
		p := protocolFor(t, protocol.Upstream{Model: "m"})
		body := io.MultiReader(strings.NewReader(wire([]string{event}, "\n")), &repeating{text: []byte(wire([]string{event}, "\n"))})
		s, _ := p.Stream(chatCall(`{}`, true), protocol.Reply{Status: 200, Header: http.Header{}, At: noon}, body, 10_000)
		var err error
		for range 1000 {
			if _, err = s.Next(); err != nil {
				break
			}
		}
		if !errors.Is(err, protocol.ErrTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

type repeating struct {
	text []byte
	at   int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// An error of any shape has its class, and says when to come back.
func TestErrors(t *testing.T) {
	quota := func(id, value string) string {
		return `{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"` + id + `","quotaValue":"` + value + `"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"17.5s"}]}}`
	}
	for name, test := range map[string]struct {
		status int
		body   string
		class  schema.Class
		after  time.Duration
		scope  protocol.Scope
	}{
		"minute":        {429, quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10"), schema.ClassRateLimited, 17500 * time.Millisecond, 0},
		"day":           {429, quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"), schema.ClassRateLimited, 20 * time.Hour, 0},
		"none at all":   {429, quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "0"), schema.ClassUpstreamFatal, 17500 * time.Millisecond, protocol.OneModel},
		"in an array":   {429, `[` + quota("GenerateRequestsPerDayPerProjectPerModel", "250") + `]`, schema.ClassRateLimited, 20 * time.Hour, 0},
		"key":           {400, `{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`, schema.ClassUpstreamFatal, 0, protocol.WholeAccount},
		"country":       {400, `{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}`, schema.ClassUpstreamFatal, 0, protocol.WholeAccount},
		"too long":      {400, `{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}`, schema.ClassContextWindow, 0, 0},
		"argument":      {400, `{"error":{"code":400,"message":"Invalid value at 'x'","status":"INVALID_ARGUMENT"}}`, schema.ClassRequestFatal, 0, 0},
		"file":          {403, `{"error":{"code":403,"message":"You do not have permission to access the File x or it may not exist.","status":"PERMISSION_DENIED"}}`, schema.ClassRequestFatal, 0, 0},
		"model":         {404, `{"error":{"code":404,"message":"models/x is not found for API version v1beta","status":"NOT_FOUND"}}`, schema.ClassUpstreamFatal, 0, 0},
		"overload":      {503, `{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}`, schema.ClassTransient, 0, 0},
		"a page":        {502, `<html><title>502 Bad Gateway</title></html>`, schema.ClassTransient, 0, 0},
		"200, no JSON":  {200, `<html>Sign in</html>`, schema.ClassTransient, 0, 0},
		"200, an error": {200, `{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}`, schema.ClassTransient, 0, 0},
		"200, nothing":  {200, ``, schema.ClassTransient, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := decoded(t, test.status, nil, test.body)
			if class, _ := classOf(test.status, &a); class != test.class || a.Fault.After != test.after || a.Fault.Scope != test.scope || !a.Failed || string(a.Body) != test.body {
				t.Errorf("class %q: %+v", class, a)
			}
		})
	}
}

// Usage is in OpenAI's terms, whichever way a server counts thoughts.
func TestUsage(t *testing.T) {
	for raw, want := range map[string]protocol.Usage{
		`{"promptTokenCount":10,"candidatesTokenCount":3,"thoughtsTokenCount":20,"totalTokenCount":33}`:     {Known: true, Input: 10, Output: 23, Total: 33, Reasoning: 20},
		`{"promptTokenCount":10,"candidatesTokenCount":23,"thoughtsTokenCount":20,"totalTokenCount":33}`:    {Known: true, Input: 10, Output: 23, Total: 33, Reasoning: 20},
		`{"promptTokenCount":10,"toolUsePromptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":18}`: {Known: true, Input: 15, Output: 3, Total: 18},
		`{"promptTokenCount":10,"cachedContentTokenCount":8,"candidatesTokenCount":3}`:                      {Known: true, Input: 10, Output: 3, Total: 13, CacheRead: 8},
		`{"promptTokenCount":40,"candidatesTokenCount":30,"totalTokenCount":70,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":32},{"modality":"TEXT","tokenCount":8}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":30}]}`: {Known: true, Input: 40, Output: 30, Total: 70, AudioIn: 32, AudioOut: 30},
	} {
		u := readUsage([]byte(raw))
		if got := u.counted(); got != want {
			t.Errorf("%s: %+v, want %+v", raw, got, want)
		}
		var out struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
			In         struct {
				Cached int64 `json:"cached_tokens"`
				Audio  int64 `json:"audio_tokens"`
			} `json:"prompt_tokens_details"`
			Out struct {
				Reasoning int64 `json:"reasoning_tokens"`
				Audio     int64 `json:"audio_tokens"`
			} `json:"completion_tokens_details"`
		}
		if err := json.Unmarshal(u.append(nil), &out); err != nil {
			t.Fatal(err)
		}
		if out.Prompt != want.Input || out.Completion != want.Output || out.In.Cached != want.CacheRead || out.In.Audio != want.AudioIn || out.Out.Reasoning != want.Reasoning || out.Out.Audio != want.AudioOut {
			t.Errorf("%s: %s", raw, u.append(nil))
		}
	}
}

// An answer of sound, a rewritten name and the tier stand where OpenAI has them.
func TestDecodeOddities(t *testing.T) {
	name := string(appendRewritten(nil, []byte("a/b")))
	p := protocolFor(t, protocol.Upstream{Model: "gemini-3.5-flash"})
	a := p.Decode(chatCall(`{"tools":[{"type":"function","function":{"name":"a/b"}}]}`, false), protocol.Reply{
		Status: 200, At: noon, Header: http.Header{"X-Gemini-Service-Tier": {"standard"}},
		Body: []byte("\xef\xbb\xbf" + `{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"audio/pcm","data":"AA=="}},{"functionCall":{"name":"` + name + `"}}]},"finishReason":"STOP"}]}`),
	})
	var out struct {
		ID, Model string
		Tier      string `json:"service_tier"`
		Created   int64
		Choices   []struct {
			Message struct {
				Audio struct{ Data string }
				Calls []struct{ ID, Function json.RawMessage } `json:"tool_calls"`
			}
		}
	}
	if err := json.Unmarshal(a.Body, &out); err != nil {
		t.Fatal(err)
	}
	m := out.Choices[0].Message
	if m.Audio.Data != "AA==" || string(m.Calls[0].Function) != `{"name":"a/b","arguments":"{}"}` || out.Tier != "default" || out.Model != "gemini-3.5-flash" || out.ID == "" || out.Created != noon.Unix() {
		t.Errorf("got %s", a.Body)
	}
	if a.Usage.Known || bytes.Contains(a.Body, []byte(`"usage"`)) {
		t.Errorf("usage of an answer that counts nothing: %s", a.Body)
	}
}

// Whatever comes, an answer is made that is JSON, or a failure.
func FuzzDecodeChat(f *testing.F) {
	for _, raw := range append(events, whole, `{}`, `[]`, `{"candidates":[7]}`, `{"candidates":[{"content":{"parts":[7,{"functionCall":7},{"inlineData":7},{"text":7},{"thoughtSignature":"x"}]},"finishReason":"STOP"}],"usageMetadata":7,"responseId":7,"modelVersion":{}}`) {
		f.Add(raw, 200)
	}
	p := protocolFor(f, protocol.Upstream{Model: "gemini-3.5-flash"})
	f.Fuzz(func(t *testing.T, raw string, status int) {
		reply := protocol.Reply{Status: status, Header: http.Header{}, Body: []byte(raw), At: noon}
		a := p.Decode(chatCall(`{`+hello+`}`, false), reply)
		if class, _ := classOf(status, &a); class == "" && !json.Valid(a.Body) {
			t.Errorf("%q becomes %s", raw, a.Body)
		}
		s, _ := p.Stream(chatCall(`{}`, true), protocol.Reply{Status: 200, Header: http.Header{}, At: noon}, strings.NewReader("data: "+strings.ReplaceAll(raw, "\n", " ")+"\n\n"), 1<<20)
		for {
			chunk, err := s.Next()
			if err != nil {
				break
			}
			if len(chunk) > 0 && !json.Valid(chunk) {
				t.Errorf("%q becomes the chunk %s", raw, chunk)
			}
		}
		if a := s.Answer(); !a.Failed && a.Lacks == "" && a.Cut == "" && !json.Valid(a.Body) {
			t.Errorf("%q becomes %s", raw, a.Body)
		}
	})
}
