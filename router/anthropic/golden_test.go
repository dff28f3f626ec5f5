package anthropic

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
	}
	Answer *struct {
		Status    int
		Headers   map[string]string
		Body      json.RawMessage
		Text      string
		Events    []json.RawMessage
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
	Mark string
}

// object is a JSON object in Go's terms.
type object = map[string]any

// wants are the cases whose request is another one, by folder and number. nil:
// the request is refused.
var wants = map[string]struct {
	why  string
	body func(body object)
}{
	"anthropic/004": {"the later system message is a plain text of the user's turn", func(b object) {
		turn := b["messages"].([]any)[2].(object)
		turn["content"] = turn["content"].([]any)[1:]
	}},
	"anthropic/005": {"a system prompt alone is refused", nil},
	"anthropic/013": {"a blank message is refused", nil},
	"anthropic/014": {"the empty turn is left out, and the turns around it are one", func(b object) {
		b["messages"] = []any{object{"role": "user", "content": []any{text("Hello"), text("Again")}}}
	}},
	"anthropic/019": {"sound is refused", nil},
	"anthropic/026": {"all stops are sent", func(b object) { b["stop_sequences"] = []any{"END", "\n", "x", "y", "z"} }},
	"anthropic/028": {"n above 1 is refused, dropped or not", nil},
	"anthropic/053": {"the tools are those of the history, and none is to be called", func(b object) {
		b["tools"] = []any{object{"name": "get_weather", "type": "custom", "input_schema": object{"type": "object", "properties": object{}}}}
		b["tool_choice"] = object{"type": "none"}
	}},
	"anthropic/056": {"JSON without a schema is refused", nil},
	"anthropic/065": {"the refusal is what the assistant said; LiteLLM drops it", func(b object) {
		b["messages"] = slices.Insert(b["messages"].([]any), 1, any(object{"role": "assistant", "content": []any{text("No")}}))
	}},
	"anthropic/073": {"the schema keeps its reference; the model's longest answer is 4096", func(b object) {
		b["max_tokens"] = 4096.0
		schema := b["tools"].([]any)[0].(object)["input_schema"].(object)
		schema["properties"].(object)["mayor"].(object)["anyOf"].([]any)[0] = object{"$ref": "#/$defs/Person"}
	}},
	"anthropic/074": {"as 056", nil},
	"anthropic/076": {"no budget fits below max_tokens 1000: refused by name, as a job may rely on either", nil},
	"anthropic/086": {"a temperature besides thinking is refused", nil},
	"anthropic/091": {"a call and its result have one id", func(b object) {
		messages := b["messages"].([]any)
		messages[1].(object)["content"].([]any)[0].(object)["id"] = "function_call_0"
		messages[2].(object)["content"].([]any)[0].(object)["tool_use_id"] = "function_call_0"
	}},
	"bedrock-invoke/013": {"the version stands in the header", func(b object) { delete(b, "anthropic_version") }},
	"vertex/030": {"the schema goes by output_config", func(b object) {
		schema := b["tools"].([]any)[0].(object)["input_schema"].(object)
		schema["properties"].(object)["mayor"].(object)["anyOf"].([]any)[0] = object{"$ref": "#/$defs/Person"}
		schema["properties"].(object)["city"] = object{"type": "string", "description": "{minLength: 2}"}
		schema["properties"].(object)["population"] = object{"type": "integer", "description": "{minimum: 0}"}
		b["output_config"] = object{"format": object{"type": "json_schema", "schema": schema}}
		delete(b, "tools")
		delete(b, "tool_choice")
	}},
}

func text(text string) object { return object{"type": "text", "text": text} }

// classWants are the cases whose error has another class than LiteLLM's name for
// it says.
var classWants = map[string]schema.Class{
	"anthropic/125": schema.ClassUpstreamFatal, // no request of the account will work
	"anthropic/136": schema.ClassContextWindow, // waiting does not help
	"anthropic/119": schema.ClassTransient,     // as an answer of its own: 529
}

// classesOf are our classes for LiteLLM's.
var classesOf = map[string]schema.Class{
	"BadRequestError": schema.ClassRequestFatal, "UnsupportedParamsError": schema.ClassRequestFatal,
	"ContextWindowExceededError": schema.ClassContextWindow, "ContentPolicyViolationError": schema.ClassContentPolicy,
	"AuthenticationError": schema.ClassUpstreamFatal, "PermissionDeniedError": schema.ClassUpstreamFatal,
	"PaymentRequiredError": schema.ClassUpstreamFatal, "NotFoundError": schema.ClassUpstreamFatal,
	"RateLimitError": schema.ClassRateLimited, "InternalServerError": schema.ClassTransient, "Timeout": schema.ClassTransient,
	"BadGatewayError": schema.ClassTransient, "ServiceUnavailableError": schema.ClassTransient, "APIError": schema.ClassTransient,
}

// elsewhere are the cases that this protocol has no part in.
var elsewhere = map[string]string{
	"bedrock-invoke/014": "OpenAI's protocol",
}

func TestRecorded(t *testing.T) {
	dir := os.Getenv("PELTON_TEST_DATA")
	root := filepath.Join(dir, "golden")
	if dir == "" {
		root = "testdata/recorded"
	}
	for _, pattern := range []string{"anthropic/*.json", "bedrock-invoke/*.json", "vertex/*claude*.json"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no cases in %s: %v", filepath.Join(root, pattern), err)
		}
		for _, file := range files {
			folder := filepath.Base(filepath.Dir(file))
			number, _, _ := strings.Cut(filepath.Base(file), "-")
			t.Run(folder+"/"+strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
				if why := elsewhere[folder+"/"+number]; why != "" {
					t.Skip(why)
				}
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var c recorded
				if err := json.Unmarshal(raw, &c); err != nil {
					t.Fatal(err)
				}
				c.run(t, folder, folder+"/"+number)
			})
		}
	}
}

func (c *recorded) run(t *testing.T, folder, id string) {
	params, _ := c.Input["_litellm_params"].(object)
	delete(c.Input, "_litellm_params")
	p, err := recordedProtocol(folder, c.Input["model"].(string), params)
	if params["api_key"] == nil && folder == "anthropic" {
		return // a deployment without a key is refused where the configuration is read
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(c.Input)
	if err != nil {
		t.Fatal(err)
	}
	_, streamed := c.Input["stream"]
	call := &protocol.Call{Endpoint: schema.ChatCompletions, Model: modelName(c.Input["model"].(string)), Body: body, Streamed: streamed}
	err = p.Encode(t.Context(), call)
	want, other := wants[id]
	if refused := other && want.body == nil || c.Request == nil; refused || err != nil {
		var e *schema.Error
		if !refused || !errors.As(err, &e) || e.Class != schema.ClassRequestFatal || e.Message == "" {
			t.Fatalf("encode: %v; refused should be %v", err, refused)
		}
		return
	}
	c.checkRequest(t, id, call)
	c.checkAnswer(t, id, p, call)
}

func modelName(model string) string {
	for _, prefix := range []string{"anthropic/", "vertex_ai/", "bedrock/invoke/", "bedrock_mantle/"} {
		model = strings.TrimPrefix(model, prefix)
	}
	return model
}

func recordedProtocol(folder, name string, params object) (protocol.Protocol, error) {
	param := func(name string) string { text, _ := params[name].(string); return text }
	drop, _ := params["drop_params"].(bool)
	u := protocol.Upstream{
		Key: param("api_key"), BaseURL: strings.TrimRight(param("api_base"), "/"), Model: modelName(name), DropParams: drop,
		Headers: map[string]string{}, Settings: map[string]string{},
	}
	for name, value := range params {
		if text, ok := value.(string); ok {
			u.Settings[name] = text
		}
	}
	if extra, ok := params["extra_headers"].(object); ok {
		for name, value := range extra {
			u.Headers[name] = value.(string)
		}
	}
	switch {
	case folder == "vertex":
		return vertex(u, credentials.Token(func(context.Context) (string, error) { return "ya29.test", nil }))
	case strings.HasPrefix(name, "bedrock_mantle/"):
		u.BaseURL = "https://bedrock-mantle." + u.Settings["aws_region_name"] + ".api.aws/anthropic"
		key := u.Key
		u.Token = func(context.Context) (string, error) { return key, nil }
		return New(u)
	case folder == "bedrock-invoke" && u.Key != "":
		return bedrock(u, credentials.Bearer(u.Key))
	case folder == "bedrock-invoke":
		return bedrock(u, nil)
	}
	return New(u)
}

// checkRequest compares what is sent with what was recorded.
func (c *recorded) checkRequest(t *testing.T, id string, call *protocol.Call) {
	t.Helper()
	raw, err := io.ReadAll(call.Req.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got object
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("the body is no JSON: %v\n%s", err, raw)
	}
	want := c.Request.Body
	if other, ok := wants[id]; ok {
		other.body(want)
	}
	c.amend(id, want)
	if !same(got, want) {
		t.Errorf("body is\n%s\nwant\n%s", raw, asJSON(want))
	}
	address := c.Request.URL
	if id == "anthropic/080" { // one /v1
		address = strings.Replace(address, "/v1/v1/", "/v1/", 1)
	}
	if got := call.Req.URL.String(); got != address {
		t.Errorf("URL is %s, want %s", got, address)
	}
	header := maps.Clone(c.Request.Headers)
	delete(header, "x-amz-date") // the signer's
	if strings.HasPrefix(header["authorization"], "AWS4") {
		delete(header, "authorization")
	}
	switch {
	case strings.HasPrefix(id, "vertex/"): // the token is sent once
		delete(header, "x-api-key")
	case id == "bedrock-invoke/013":
		header["anthropic-version"] = apiVersion
	case strings.HasPrefix(id, "bedrock-invoke/") || strings.HasPrefix(header["anthropic-beta"], "structured-outputs"):
		delete(header, "anthropic-beta") // in the body there, and not needed elsewhere
	}
	sent := map[string]string{}
	for name, values := range call.Req.Header {
		if name != "User-Agent" {
			sent[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	if !maps.Equal(sent, header) {
		t.Errorf("header is %v, want %v", sent, header)
	}
}

// amend changes a recorded request by what is wanted of all.
func (c *recorded) amend(id string, want object) {
	// Long answers of Anthropic's own API are asked for as a stream.
	if most, _ := want["max_tokens"].(float64); most > longAnswer && (strings.HasPrefix(id, "anthropic/") || id == "bedrock-invoke/013") {
		want["stream"] = true
	}
	// A tool's strict is sent.
	if tools, ok := c.Input["tools"].([]any); ok {
		for i, tool := range tools {
			if function, ok := tool.(object)["function"].(object); ok && function["strict"] == true {
				want["tools"].([]any)[i].(object)["strict"] = true
			}
		}
	}
	// The schema of an answer stands in output_config, with its references.
	if format, ok := want["output_format"]; ok {
		delete(want, "output_format")
		want["output_config"] = object{"format": format}
		given := c.Input["response_format"].(object)["json_schema"].(object)["schema"].(object)
		if defs, ok := given["$defs"]; ok {
			schema := format.(object)["schema"].(object)
			schema["$defs"] = defs
			schema["properties"].(object)["mayor"] = given["properties"].(object)["mayor"]
		}
	}
}

// same compares two values of JSON. A text in pointed brackets stands for any.
func same(got, want any) bool {
	switch want := want.(type) {
	case string:
		text, ok := got.(string)
		return ok && (text == want || strings.HasPrefix(want, "<") && strings.HasSuffix(want, ">"))
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
func (c *recorded) checkAnswer(t *testing.T, id string, p protocol.Protocol, call *protocol.Call) {
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
	if len(c.Answer.Events) > 0 {
		s, _ := p.Stream(call, reply, c.events(t), 1<<20)
		if s == nil {
			t.Fatal("no stream")
		}
		for {
			chunk, err := s.Next()
			if err != nil {
				break
			}
			if len(chunk) > 0 {
				var one object
				if err := json.Unmarshal(chunk, &one); err != nil {
					t.Fatalf("a chunk is no JSON: %v\n%s", err, chunk)
				}
				chunks = append(chunks, one)
			}
		}
		made = s.Answer()
	} else {
		reply.Body = c.Answer.Body
		if reply.Body == nil {
			reply.Body = []byte(c.Answer.Text)
		}
		made = p.Decode(call, reply)
	}
	if e := c.Output.Error; e != nil {
		c.checkFault(t, id, made, reply.Status)
		return
	}
	if made.Failed || made.Lacks != "" || made.Cut != "" {
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

func (c *recorded) events(t *testing.T) io.Reader {
	t.Helper()
	if c.Answer.Raw != "" {
		raw, err := base64.StdEncoding.DecodeString(c.Answer.Raw)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReader(string(raw))
	}
	var out strings.Builder
	for _, event := range c.Answer.Events {
		var e struct{ Type string }
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatal(err)
		}
		var line strings.Builder
		_ = json.NewEncoder(&line).Encode(event)
		fmt.Fprintf(&out, "event: %s\ndata: %s\n", e.Type, line.String())
	}
	return strings.NewReader(out.String())
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
			for _, name := range []string{"content"} {
				if message[name] == nil {
					delete(message, name)
				}
			}
			if own, ok := message["provider_specific_fields"].(object); ok {
				delete(own, "thinking_blocks")
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
