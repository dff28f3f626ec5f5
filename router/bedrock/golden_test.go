package bedrock

import (
	"encoding/base64"
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
	"time"

	"pelton/router/credentials"
	"pelton/router/protocol"
	"pelton/schema"
)

// Recorded cases: what a body of OpenAI's form becomes on the wire, and what an
// answer becomes again, as LiteLLM does both. Those with a mark are where LiteLLM
// is wrong; what is wanted there stands in wants.
type recorded struct {
	Input   map[string]any
	Request *struct {
		URL     string
		Headers map[string]string
		Body    map[string]any
		Raw     string `json:"body_raw"`
	}
	Answer *struct {
		Status    int
		Headers   map[string]string
		Body      json.RawMessage
		Text      string
		Raw       string `json:"raw_base64"`
		Exception string
	}
	Output struct {
		Response map[string]any
		Chunks   []map[string]any
		Error    *struct {
			Class  string
			Status int
		}
	}
}

// object is a JSON object in Go's terms.
type object = map[string]any

// wants are the cases whose request is another one, by number. A nil body: the
// request is refused. An empty url: as recorded.
var wants = map[string]struct {
	why  string
	url  string
	body func(body object)
}{
	"004": {why: "the later system message is a plain text of the user's turn", body: func(b object) {
		turn := b["messages"].([]any)[2].(object)
		turn["content"] = turn["content"].([]any)[1:]
	}},
	"097": {why: "as 004", body: func(b object) {
		turn := b["messages"].([]any)[2].(object)
		turn["content"] = turn["content"].([]any)[1:]
	}},
	"005": {why: "a system prompt alone is refused"},
	"019": {why: "sound is sent", body: func(b object) {
		turn := b["messages"].([]any)[0].(object)
		turn["content"] = append(turn["content"].([]any), object{"audio": object{"format": "wav", "source": object{"bytes": "UklGRg=="}}})
	}},
	"026": {why: "all stops are sent", body: func(b object) {
		b["inferenceConfig"].(object)["stopSequences"] = []any{"END", "\n", "x", "y", "z"}
	}},
	"028": {why: "n above 1 is refused, dropped or not"},
	"043": {why: "there is no choice of none: the tools are left out", body: func(object) {}},
	"049": {why: "the schema keeps its references, and no description is made up", body: func(b object) {
		spec := b["toolConfig"].(object)["tools"].([]any)[0].(object)["toolSpec"].(object)
		delete(spec, "description")
		schema := spec["inputSchema"].(object)["json"].(object)
		mayor := schema["properties"].(object)["mayor"].(object)["anyOf"].([]any)
		schema["$defs"] = object{"Person": mayor[0]}
		mayor[0] = object{"$ref": "#/$defs/Person"}
	}},
	"053": {why: "the tools are those of the history, and none is to be called", body: func(b object) {
		b["messages"] = []any{
			object{"role": "user", "content": []any{text("Weather?")}},
			object{"role": "assistant", "content": []any{object{"toolUse": object{"toolUseId": "call_1", "name": "get_weather", "input": object{"city": "Oslo"}}}}},
			object{"role": "user", "content": []any{object{"toolResult": object{"toolUseId": "call_1", "content": []any{text("3")}}}, text("Thanks")}},
		}
		b["toolConfig"] = object{"tools": []any{object{"toolSpec": object{
			"name": "get_weather", "inputSchema": object{"json": object{"type": "object", "properties": object{}}},
		}}}}
		b["additionalModelRequestFields"] = object{"tool_choice": object{"type": "none"}}
	}},
	"055": {why: "arguments that are no JSON are refused"},
	"056": {why: "JSON without a schema is refused"},
	"065": {why: "the refusal is what the assistant said; LiteLLM drops it", body: func(b object) {
		b["messages"] = []any{
			object{"role": "user", "content": []any{text("Bad")}},
			object{"role": "assistant", "content": []any{text("No")}},
			object{"role": "user", "content": []any{text("Then good")}},
		}
	}},
	"073": {
		why:  "the region is the ARN's, as 074 wants it",
		url:  "https://bedrock-runtime.us-west-2.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aapplication-inference-profile%2Fabcdef123456/converse",
		body: func(object) {},
	},
	"074": {
		why:  "the region is the ARN's",
		url:  "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse",
		body: func(object) {},
	},
	"091": {why: "a region is needed"},
	"109": {why: "a picture on the web is refused"},
	"116": {why: "a name that is too long is another one, and the schema stays as it is", body: func(b object) {
		spec := b["toolConfig"].(object)["tools"].([]any)[0].(object)["toolSpec"].(object)
		spec["name"] = strings.Repeat("a", 55) + "_*"
		delete(spec["inputSchema"].(object)["json"].(object), "required")
	}},
}

func text(text string) object { return object{"text": text} }

// classWants are the cases whose error has another class than LiteLLM's name for
// it says.
var classWants = map[string]schema.Class{
	"142": schema.ClassRateLimited, // as an answer of its own: 429
	"143": schema.ClassTransient,
	"156": schema.ClassTransient,
}

// failures are the cases whose answer is none, and what the answer lacks.
var failures = map[string]string{
	"126": "malformed_model_output",
	"127": "malformed_tool_use",
}

// classesOf are our classes for LiteLLM's.
var classesOf = map[string]schema.Class{
	"BadRequestError": schema.ClassRequestFatal, "UnsupportedParamsError": schema.ClassRequestFatal,
	"ContextWindowExceededError": schema.ClassContextWindow, "ContentPolicyViolationError": schema.ClassContentPolicy,
	"AuthenticationError": schema.ClassUpstreamFatal, "PermissionDeniedError": schema.ClassUpstreamFatal,
	"NotFoundError": schema.ClassUpstreamFatal, "RateLimitError": schema.ClassRateLimited, "InternalServerError": schema.ClassTransient,
	"Timeout": schema.ClassTransient, "ServiceUnavailableError": schema.ClassTransient,
}

func TestRecorded(t *testing.T) {
	dir := os.Getenv("PELTON_TEST_DATA")
	root := filepath.Join(dir, "golden")
	if dir == "" {
		root = "testdata/recorded"
	}
	files, err := filepath.Glob(filepath.Join(root, "bedrock/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", root, err)
	}
	for _, file := range files {
		number, _, _ := strings.Cut(filepath.Base(file), "-")
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c recorded
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			c.run(t, number)
		})
	}
}

func (c *recorded) run(t *testing.T, id string) {
	params, _ := c.Input["_litellm_params"].(object)
	delete(c.Input, "_litellm_params")
	name := strings.TrimPrefix(strings.TrimPrefix(c.Input["model"].(string), "bedrock/"), "converse/")
	u := protocol.Upstream{Model: name, Headers: map[string]string{}, Settings: map[string]string{}}
	u.DropParams, _ = params["drop_params"].(bool)
	u.BaseURL, _ = params["api_base"].(string)
	u.Key, _ = params["api_key"].(string)
	for name, value := range params {
		if text, ok := value.(string); ok && name != "api_base" && name != "api_key" {
			u.Settings[name] = text
		}
	}
	if extra, ok := params["extra_headers"].(object); ok {
		for name, value := range extra {
			u.Headers[name] = value.(string)
		}
	}
	want, other := wants[id]
	refused := c.Request == nil && c.Answer == nil && !other || other && want.body == nil
	p, err := newProtocol(u)
	if err != nil {
		if !refused || !strings.Contains(err.Error(), "region") {
			t.Fatal(err)
		}
		return
	}
	if p.aws != nil {
		p.aws.SetClock(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
	}
	body, err := json.Marshal(c.Input)
	if err != nil {
		t.Fatal(err)
	}
	_, streamed := c.Input["stream"]
	call := &protocol.Call{Endpoint: schema.ChatCompletions, Model: name, Body: body, Streamed: streamed}
	if err = p.Encode(t.Context(), call); refused || err != nil {
		var e *schema.Error
		if !refused || !errors.As(err, &e) || e.Class != schema.ClassRequestFatal || e.Message == "" {
			t.Fatalf("encode: %v; refused should be %v", err, refused)
		}
		return
	}
	if c.Request != nil {
		c.checkRequest(t, id, p, call)
	}
	c.checkAnswer(t, id, p, call)
}

// checkRequest compares what is sent with what was recorded, and the signature
// over the recorded body with the recorded one.
func (c *recorded) checkRequest(t *testing.T, id string, p *Protocol, call *protocol.Call) {
	t.Helper()
	raw, err := io.ReadAll(call.Req.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("the body is no JSON: %v\n%s", err, raw)
	}
	body, address := c.Request.Body, c.Request.URL
	if other, ok := wants[id]; ok {
		if other.body(body); other.url != "" {
			address = other.url
		}
	}
	if !same(unfold(got), unfold(body)) {
		t.Errorf("body is\n%s\nwant\n%s", raw, asJSON(body))
	}
	if got := call.Req.URL.String(); got != address {
		t.Errorf("URL is %s, want %s", got, address)
	}
	sent := map[string]string{}
	for name, values := range call.Req.Header {
		if name != "User-Agent" {
			sent[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	header := maps.Clone(c.Request.Headers)
	if p.aws != nil {
		delete(sent, "authorization")
		signature := header["authorization"]
		delete(header, "authorization")
		c.checkSignature(t, p.aws, signature, address)
	}
	if !maps.Equal(sent, header) {
		t.Errorf("header is %v, want %v", sent, header)
	}
}

func (c *recorded) checkSignature(t *testing.T, by *credentials.AWS, want, address string) {
	t.Helper()
	if c.Request.Raw == "" || want == "" || address != c.Request.URL {
		return // LiteLLM's wording was left out, or the address is another
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Request.URL, strings.NewReader(c.Request.Raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Not-Signed", "1")
	if err := by.Authorize(t.Context(), req, []byte(c.Request.Raw)); err != nil {
		t.Fatal(err)
	}
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("signature is\n%s\nwant\n%s", got, want)
	}
}

// unfold reads the schema of an answer, which is JSON within a text.
func unfold(body object) object {
	body = maps.Clone(body)
	config, ok := body["outputConfig"].(object)
	if !ok {
		return body
	}
	inside := config["textFormat"].(object)["structure"].(object)["jsonSchema"].(object)
	var schema any
	if text, ok := inside["schema"].(string); ok && json.Unmarshal([]byte(text), &schema) == nil {
		inside["schema"] = schema
	}
	return body
}

// same compares two values of JSON. A text in pointed brackets stands for any, and a star at the end for any end.
func same(got, want any) bool {
	switch want := want.(type) {
	case string:
		text, ok := got.(string)
		begin, open := strings.CutSuffix(want, "*")
		return ok && (text == want || strings.HasPrefix(want, "<") && strings.HasSuffix(want, ">") || open && strings.HasPrefix(text, begin))
	case object:
		g, ok := got.(object)
		if !ok || len(g) != len(want) {
			return false
		}
		for key, value := range want {
			if other, ok := g[key]; !ok || !same(other, value) {
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
			if !same(g[i], want[i]) {
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

// checkAnswer compares what an answer becomes with what was recorded.
func (c *recorded) checkAnswer(t *testing.T, id string, p *Protocol, call *protocol.Call) {
	t.Helper()
	if c.Answer == nil || c.Answer.Exception != "" {
		return // of the connection: the router's
	}
	reply := protocol.Reply{Status: c.Answer.Status, Header: http.Header{}, At: time.Unix(1, 0)}
	for name, value := range c.Answer.Headers {
		reply.Header.Set(name, value)
	}
	var made protocol.Answer
	var chunks []object
	var broken error
	if c.Answer.Raw != "" {
		made, chunks, broken = c.read(t, p, call, reply)
	} else {
		reply.Body = c.Answer.Body
		if reply.Body == nil {
			reply.Body = []byte(c.Answer.Text)
		}
		made = p.Decode(call, reply)
	}
	switch lacks := failures[id]; {
	case broken != nil:
		if c.Output.Error == nil || made.Cut == "" {
			t.Errorf("%v: %+v", broken, made)
		}
		return
	case c.Output.Error != nil:
		c.checkFault(t, id, made, reply.Status)
		return
	case lacks != "":
		if made.Failed || !strings.Contains(made.Lacks+made.Cut, lacks) {
			t.Errorf("%+v", made)
		}
		return
	case made.Failed || made.Lacks != "" || made.Cut != "":
		t.Fatalf("the answer is a failure: %+v", made)
	}
	var got object
	if err := json.Unmarshal(made.Body, &got); err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, made.Body)
	}
	if c.Output.Response != nil {
		if g, w := plainAnswer(got), plainAnswer(c.Output.Response); !same(g, w) {
			t.Errorf("answer is\n%s\nwant\n%s", asJSON(g), asJSON(w))
		}
		return
	}
	g, w := added(chunks), added(c.Output.Chunks)
	if !same(g, w) {
		t.Errorf("chunks make\n%s\nwant\n%s", asJSON(g), asJSON(w))
	}
	if whole := added([]object{got}); !same(whole["content"], w["content"]) || !same(whole["tool_calls"], g["tool_calls"]) {
		t.Errorf("the whole is\n%s\nwant\n%s", asJSON(whole), asJSON(w))
	}
}

// read reads a stream to its end. broken says that reading failed.
func (c *recorded) read(t *testing.T, p *Protocol, call *protocol.Call, reply protocol.Reply) (made protocol.Answer, chunks []object, broken error) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(c.Answer.Raw)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := p.Stream(call, reply, strings.NewReader(string(raw)), 1<<20)
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
			var one object
			if err := json.Unmarshal(chunk, &one); err != nil {
				t.Fatalf("a chunk is no JSON: %v\n%s", err, chunk)
			}
			chunks = append(chunks, one)
		}
	}
}

func (c *recorded) checkFault(t *testing.T, id string, made protocol.Answer, status int) {
	t.Helper()
	if !made.Failed {
		t.Fatalf("the answer is no failure: %+v", made)
	}
	want, ok := classWants[id]
	if !ok {
		want = classesOf[c.Output.Error.Class]
	}
	if status < 300 && made.Fault.Status != 0 {
		status = made.Fault.Status
	}
	if got := protocol.ClassOf(status, &made.Fault); got != want || want == "" {
		t.Errorf("class is %q, want %q (%s): %+v", got, want, c.Output.Error.Class, made.Fault)
	}
}

// plainAnswer is an answer without what LiteLLM adds of its own: counts that it
// guesses, members that are empty, an index of calls that only streams have, and
// the same thing twice.
func plainAnswer(answer object) object {
	answer = maps.Clone(answer)
	delete(answer, "created")
	delete(answer, "id")
	if choices, ok := answer["choices"].([]any); ok {
		for _, choice := range choices {
			message := choice.(object)["message"].(object)
			if message["content"] == nil {
				delete(message, "content")
			}
			if message["reasoning_content"] == "" {
				delete(message, "reasoning_content")
			}
			if own, ok := message["provider_specific_fields"].(object); ok {
				delete(own, "reasoningContentBlocks")
				delete(own, "stop_reason")
				maps.DeleteFunc(own, func(_ string, value any) bool { return value == nil })
				if len(own) == 0 {
					delete(message, "provider_specific_fields")
				}
			}
			if calls, ok := message["tool_calls"].([]any); ok {
				for _, call := range calls {
					delete(call.(object), "index")
					function := call.(object)["function"].(object)
					function["arguments"] = compact(function["arguments"].(string))
				}
			} else if content, ok := message["content"].(string); ok {
				message["content"] = compact(content)
			}
		}
	}
	if usage, ok := answer["usage"].(object); ok {
		plainUsage(usage)
	}
	return answer
}

func plainUsage(usage object) {
	delete(usage, "cost")
	for _, inner := range []any{usage["prompt_tokens_details"], usage["completion_tokens_details"], usage} {
		if details, ok := inner.(object); ok {
			for _, own := range []string{"text_tokens", "cache_creation_tokens", "reasoning_tokens"} {
				delete(details, own)
			}
			maps.DeleteFunc(details, func(_ string, value any) bool {
				inner, is := value.(object)
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

// added is what chunks add up to.
func added(chunks []object) object {
	sum := object{"content": ""}
	calls := map[float64]object{}
	var order []float64
	for _, chunk := range chunks {
		if usage, ok := chunk["usage"].(object); ok {
			plainUsage(usage)
			sum["usage"] = usage
		}
		choices, _ := chunk["choices"].([]any)
		for _, choice := range choices {
			choice := choice.(object)
			if reason := choice["finish_reason"]; reason != nil {
				sum["finish_reason"] = reason
			}
			delta, ok := choice["delta"].(object)
			if !ok {
				delta = choice["message"].(object)
			}
			for _, name := range []string{"content", "reasoning_content"} {
				if piece, _ := delta[name].(string); piece != "" {
					before, _ := sum[name].(string)
					sum[name] = before + piece
				}
			}
			blocks, _ := delta["thinking_blocks"].([]any)
			for _, block := range blocks {
				for _, name := range []string{"thinking", "signature"} {
					if piece, _ := block.(object)[name].(string); piece != "" {
						before, _ := sum["block "+name].(string)
						sum["block "+name] = before + piece
					}
				}
			}
			pieces, _ := delta["tool_calls"].([]any)
			for i, piece := range pieces {
				piece := piece.(object)
				index, ok := piece["index"].(float64)
				if !ok {
					index = float64(i)
				}
				function := piece["function"].(object)
				arguments, _ := function["arguments"].(string)
				if calls[index] == nil {
					calls[index] = object{"id": piece["id"], "name": function["name"], "arguments": arguments}
					order = append(order, index)
				} else {
					calls[index]["arguments"] = calls[index]["arguments"].(string) + arguments
				}
			}
		}
	}
	var all []any
	for _, index := range order {
		if calls[index]["arguments"] == "" { // LiteLLM's stream of a call without input ends with no JSON
			calls[index]["arguments"] = "{}"
		}
		all = append(all, calls[index])
	}
	sum["tool_calls"] = all
	return sum
}
