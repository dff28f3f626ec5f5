package bedrock

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pelton/router/internal/golden"
	"pelton/router/protocol"
	"pelton/schema"
)

// object is a JSON object in Go's terms.
type object = golden.Object

func text(text string) object { return object{"text": text} }

// suite is the cases, and what is right where LiteLLM is wrong.
var suite = golden.Suite{
	Patterns: []string{"bedrock/*.json"},
	Start: func(_ *testing.T, c *golden.Case, u protocol.Upstream) (protocol.Protocol, string, error) {
		u.Model = strings.TrimPrefix(strings.TrimPrefix(c.Model, "bedrock/"), "converse/")
		p, err := newProtocol(u)
		if err == nil && p.aws != nil {
			p.aws.SetClock(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
		}
		return p, u.Model, err
	},
	Sent: checkSignature,
	Own:  []string{"reasoningContentBlocks", "stop_reason"},
	Classes: map[string]schema.Class{
		"bedrock/142": schema.ClassRateLimited, // as an answer of its own: 429
		"bedrock/143": schema.ClassTransient,
		"bedrock/156": schema.ClassTransient,
	},
	Lacks: map[string]string{"bedrock/126": "malformed_model_output", "bedrock/127": "malformed_tool_use"},
	Wants: map[string]golden.Want{
		"bedrock/004": {Why: "the later system message is a plain text of the user's turn", Body: func(b object) {
			turn := b["messages"].([]any)[2].(object)
			turn["content"] = turn["content"].([]any)[1:]
		}},
		"bedrock/097": {Why: "as 004", Body: func(b object) {
			turn := b["messages"].([]any)[2].(object)
			turn["content"] = turn["content"].([]any)[1:]
		}},
		"bedrock/005": {Why: "a system prompt alone is refused"},
		"bedrock/019": {Why: "sound is sent", Body: func(b object) {
			turn := b["messages"].([]any)[0].(object)
			turn["content"] = append(turn["content"].([]any), object{"audio": object{"format": "wav", "source": object{"bytes": "UklGRg=="}}})
		}},
		"bedrock/026": {Why: "all stops are sent", Body: func(b object) {
			b["inferenceConfig"].(object)["stopSequences"] = []any{"END", "\n", "x", "y", "z"}
		}},
		"bedrock/028": {Why: "n above 1 is refused, dropped or not"},
		"bedrock/043": {Why: "there is no choice of none: the tools are left out", Body: func(b object) {
			b["messages"] = []any{object{"role": "user", "content": []any{text("Weather in Oslo?")}}}
			b["inferenceConfig"] = object{}
		}},
		"bedrock/049": {Why: "the schema keeps its references, and no description is made up", Body: func(b object) {
			spec := b["toolConfig"].(object)["tools"].([]any)[0].(object)["toolSpec"].(object)
			delete(spec, "description")
			schema := spec["inputSchema"].(object)["json"].(object)
			mayor := schema["properties"].(object)["mayor"].(object)["anyOf"].([]any)
			schema["$defs"] = object{"Person": mayor[0]}
			mayor[0] = object{"$ref": "#/$defs/Person"}
		}},
		"bedrock/053": {Why: "the tools are those of the history, and none is to be called", Body: func(b object) {
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
		"bedrock/055": {Why: "arguments that are no JSON are refused"},
		"bedrock/056": {Why: "JSON without a schema is refused"},
		"bedrock/065": {Why: "the refusal is what the assistant said; LiteLLM drops it", Body: func(b object) {
			b["messages"] = []any{
				object{"role": "user", "content": []any{text("Bad")}},
				object{"role": "assistant", "content": []any{text("No")}},
				object{"role": "user", "content": []any{text("Then good")}},
			}
		}},
		"bedrock/073": {
			Why:  "the region is the ARN's, as 074 wants it",
			URL:  "https://bedrock-runtime.us-west-2.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aapplication-inference-profile%2Fabcdef123456/converse",
			Body: func(object) {},
		},
		"bedrock/074": {
			Why:  "the region is the ARN's",
			URL:  "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse",
			Body: func(object) {},
		},
		"bedrock/091": {Why: "a region is needed"},
		"bedrock/109": {Why: "a picture on the web is refused"},
		"bedrock/116": {Why: "a name that is too long is another one, and the schema stays as it is", Body: func(b object) {
			spec := b["toolConfig"].(object)["tools"].([]any)[0].(object)["toolSpec"].(object)
			spec["name"] = strings.Repeat("a", 55) + "_*"
			delete(spec["inputSchema"].(object)["json"].(object), "required")
		}},
	},
}

func TestRecorded(t *testing.T) { suite.Run(t) }

// Bedrock's address of OpenAI's protocol.
func TestRecordedMantle(t *testing.T) {
	mantle := golden.Suite{
		Patterns: []string{"bedrock-invoke/*-mantle-gpt.json"},
		Start: func(_ *testing.T, c *golden.Case, u protocol.Upstream) (protocol.Protocol, string, error) {
			u.Model = strings.TrimPrefix(c.Model, "bedrock_mantle/")
			p, err := NewMantle(u)
			return p, u.Model, err
		},
		Sent: func(_ *testing.T, _ *golden.Case, _ protocol.Protocol, _ string, sent, _ map[string]string) {
			delete(sent, "accept")
		},
	}
	mantle.Run(t)
}

// checkSignature compares the signature over the recorded body with the recorded one.
func checkSignature(t *testing.T, c *golden.Case, made protocol.Protocol, address string, sent, recorded map[string]string) {
	t.Helper()
	by := made.(*Protocol).aws
	if by == nil {
		return
	}
	want := recorded["authorization"]
	delete(sent, "authorization")
	delete(recorded, "authorization")
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
