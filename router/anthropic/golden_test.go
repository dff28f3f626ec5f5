package anthropic

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pelton/router/credentials"
	"pelton/router/internal/golden"
	"pelton/router/protocol"
	"pelton/schema"
)

// object is a JSON object in Go's terms.
type object = golden.Object

func text(text string) object { return object{"type": "text", "text": text} }

// elsewhere are the cases that this protocol has no part in.
var elsewhere = map[string]string{
	"bedrock-invoke/014": "OpenAI's protocol",
}

// suite is the cases, and what is right where LiteLLM is wrong.
var suite = golden.Suite{
	Patterns: []string{"anthropic/*.json", "bedrock-invoke/*.json", "vertex/*claude*.json"},
	Start:    recordedProtocol,
	Amend:    amend,
	Own:      []string{"thinking_blocks", "stop_reason"},
	Classes: map[string]schema.Class{
		"anthropic/125": schema.ClassUpstreamFatal, // no request of the account will work
		"anthropic/136": schema.ClassContextWindow, // waiting does not help
		"anthropic/119": schema.ClassTransient,     // as an answer of its own: 529
	},
	Wants: map[string]golden.Want{
		"anthropic/004": {Why: "the later system message is a plain text of the user's turn", Body: func(b object) {
			turn := b["messages"].([]any)[2].(object)
			turn["content"] = turn["content"].([]any)[1:]
		}},
		"anthropic/005": {Why: "a system prompt alone is refused"},
		"anthropic/013": {Why: "a blank message is refused"},
		"anthropic/014": {Why: "the empty turn is left out, and the turns around it are one", Body: func(b object) {
			b["messages"] = []any{object{"role": "user", "content": []any{text("Hello"), text("Again")}}}
		}},
		"anthropic/019": {Why: "sound is refused"},
		"anthropic/026": {Why: "all stops are sent", Body: func(b object) { b["stop_sequences"] = []any{"END", "\n", "x", "y", "z"} }},
		"anthropic/028": {Why: "n above 1 is refused, dropped or not"},
		"anthropic/053": {Why: "the tools are those of the history, and none is to be called", Body: func(b object) {
			b["tools"] = []any{object{"name": "get_weather", "type": "custom", "input_schema": object{"type": "object", "properties": object{}}}}
			b["tool_choice"] = object{"type": "none"}
		}},
		"anthropic/056": {Why: "JSON without a schema is refused"},
		"anthropic/065": {Why: "the refusal is what the assistant said; LiteLLM drops it", Body: func(b object) {
			b["messages"] = slices.Insert(b["messages"].([]any), 1, any(object{"role": "assistant", "content": []any{text("No")}}))
		}},
		"anthropic/073": {Why: "the schema keeps its reference; the model's longest answer is 4096", Body: func(b object) {
			b["max_tokens"] = 4096.0
			schema := b["tools"].([]any)[0].(object)["input_schema"].(object)
			schema["properties"].(object)["mayor"].(object)["anyOf"].([]any)[0] = object{"$ref": "#/$defs/Person"}
		}},
		"anthropic/074": {Why: "as 056"},
		"anthropic/076": {Why: "no budget fits below max_tokens 1000: refused by name, as a job may rely on either"},
		"anthropic/080": {Why: "one /v1", URL: "http://127.0.0.1:9/v1/messages", Body: func(object) {}},
		"anthropic/086": {Why: "a temperature besides thinking is refused"},
		"anthropic/091": {Why: "a call and its result have one id", Body: func(b object) {
			messages := b["messages"].([]any)
			messages[1].(object)["content"].([]any)[0].(object)["id"] = "function_call_0"
			messages[2].(object)["content"].([]any)[0].(object)["tool_use_id"] = "function_call_0"
		}},
		"bedrock-invoke/013": {Why: "the version stands in the header", Body: func(b object) { delete(b, "anthropic_version") }},
		"vertex/030": {Why: "the schema goes by output_config", Body: func(b object) {
			schema := b["tools"].([]any)[0].(object)["input_schema"].(object)
			schema["properties"].(object)["mayor"].(object)["anyOf"].([]any)[0] = object{"$ref": "#/$defs/Person"}
			schema["properties"].(object)["city"] = object{"type": "string", "description": "{minLength: 2}"}
			schema["properties"].(object)["population"] = object{"type": "integer", "description": "{minimum: 0}"}
			b["output_config"] = object{"format": object{"type": "json_schema", "schema": schema}}
			delete(b, "tools")
			delete(b, "tool_choice")
		}},
	},
}

func TestRecorded(t *testing.T) { suite.Run(t) }

func modelName(model string) string {
	for _, prefix := range []string{"anthropic/", "vertex_ai/", "bedrock/invoke/", "bedrock_mantle/"} {
		model = strings.TrimPrefix(model, prefix)
	}
	return model
}

// recordedProtocol is the way to the model of a case; nil where it is another's.
func recordedProtocol(_ *testing.T, c *golden.Case, u protocol.Upstream) (protocol.Protocol, string, error) {
	u.Model = modelName(c.Model)
	p, err := way(c, u)
	return p, u.Model, err
}

func way(c *golden.Case, u protocol.Upstream) (protocol.Protocol, error) {
	folder, _, _ := strings.Cut(c.ID, "/")
	switch name := c.Model; {
	case elsewhere[c.ID] != "", u.Key == "" && folder == "anthropic": // without a key the configuration is refused
		return nil, nil
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

// amend changes a recorded request by what is wanted of all.
func amend(c *golden.Case, want object, header map[string]string) {
	id := c.ID
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
