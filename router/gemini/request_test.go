package gemini

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pelton/router/protocol"
	"pelton/schema"
)

func encoded(t *testing.T, model, body string, vertex bool) (any, error) {
	t.Helper()
	raw, err := encodeChat(nil, []byte(body), target{family: familyOf(model), vertex: vertex})
	if err != nil {
		return nil, err
	}
	return decode(t, string(raw)), nil
}

const hello = `"messages":[{"role":"user","content":"Hi"}]`
const helloContents = `"contents":[{"role":"user","parts":[{"text":"Hi"}]}]`

// What a body says stands in the request, in Gemini's form.
func TestEncodeChat(t *testing.T) {
	for name, test := range map[string]struct{ model, body, want string }{
		"text as it is written": {"", `{"messages":[{"role":"user","content":"a\u00e9\ud83d\ude00\"\/\n"}]}`, `{"contents":[{"role":"user","parts":[{"text":"aé😀\"/\n"}]}]}`},
		"nulls say nothing":     {"", `{` + hello + `,"temperature":null,"tools":null,"min_p":null,"response_format":null,"stop":null}`, `{` + helloContents + `}`},
		"instruction and turns": {"", `{"messages":[{"role":"developer","content":"A"},{"role":"system","content":"B"},{"role":"user","content":"C"},{"role":"assistant","content":"D"},{"role":"user","content":"E"}]}`,
			`{"system_instruction":{"parts":[{"text":"A"},{"text":"B"}]},"contents":[{"role":"user","parts":[{"text":"C"}]},{"role":"model","parts":[{"text":"D"}]},{"role":"user","parts":[{"text":"E"}]}]}`},
		"several system texts alone":   {"", `{"messages":[{"role":"system","content":"A"},{"role":"system","content":[{"type":"text","text":"B"}]}]}`, `{"contents":[{"role":"user","parts":[{"text":"A"},{"text":"B"}]}]}`},
		"limits, the later name first": {"", `{` + hello + `,"max_tokens":5,"max_completion_tokens":7,"n":2,"seed":3}`, `{` + helloContents + `,"generationConfig":{"candidate_count":2,"max_output_tokens":7,"seed":3}}`},
		"its own configuration wins": {"", `{` + hello + `,"temperature":1,"max_tokens":5,"generationConfig":{"maxOutputTokens":9,"topK":3}}`,
			`{` + helloContents + `,"generationConfig":{"temperature":1,"maxOutputTokens":9,"topK":3}}`},
		"cached content and tier": {"", `{` + hello + `,"cached_content":"cachedContents/1","service_tier":"flex"}`, `{` + helloContents + `,"cachedContent":"cachedContents/1","serviceTier":"flex"}`},
		"modalities and a voice": {"", `{` + hello + `,"modalities":["text","audio"],"audio":{"voice":"Kore","format":"pcm16"}}`,
			`{` + helloContents + `,"generationConfig":{"responseModalities":["TEXT","AUDIO"],"speechConfig":{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"Kore"}}}}}`},
		"thinking by budget":             {"gemini-2.5-flash", `{` + hello + `,"thinking":{"type":"enabled","budget_tokens":500}}`, `{` + helloContents + `,"generationConfig":{"thinkingConfig":{"thinkingBudget":500,"includeThoughts":true}}}`},
		"thinking off":                   {"gemini-2.5-flash", `{` + hello + `,"thinking":{"type":"disabled"}}`, `{` + helloContents + `,"generationConfig":{"thinkingConfig":{"thinkingBudget":0,"includeThoughts":false}}}`},
		"the least level of a pro":       {"gemini-3.1-pro-preview", `{` + hello + `,"reasoning_effort":"minimal"}`, `{` + helloContents + `,"generationConfig":{"thinkingConfig":{"thinkingLevel":"low","includeThoughts":true}}}`},
		"the least of a flash lite":      {"gemini-2.5-flash-lite", `{` + hello + `,"reasoning_effort":"minimal"}`, `{` + helloContents + `,"generationConfig":{"thinkingConfig":{"thinkingBudget":512,"includeThoughts":true}}}`},
		"no thinking in a model without": {"gemini-2.0-flash", `{` + hello + `,"reasoning_effort":"none"}`, `{` + helloContents + `}`},
		"a strict function": {"", `{` + hello + `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{}}}}]}`,
			`{` + helloContents + `,"tools":[{"function_declarations":[{"name":"f","parametersJsonSchema":{"type":"object","properties":{}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}}`},
		"tools of Google's beside": {"", `{` + hello + `,"tools":[{"googleSearch":{}},{"type":"function","function":{"name":"f"}},{"codeExecution":{}}],"tool_choice":"required"}`,
			`{` + helloContents + `,"tools":[{"function_declarations":[{"name":"f"}]},{"googleSearch":{}},{"codeExecution":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}`},
		"a search": {"", `{` + hello + `,"web_search_options":{}}`, `{` + helloContents + `,"tools":[{"googleSearch":{}}]}`},
		"allowed tools": {"", `{` + hello + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}}`,
			`{` + helloContents + `,"tools":[{"function_declarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowed_function_names":["f"]}}}`},
		"several calls and results, signed": {"gemini-3.5-flash", `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[
			{"id":"a__thought__c2ln","type":"function","function":{"name":"f","arguments":""}},
			{"id":"b","type":"function","function":{"name":"g","arguments":"{\"x\":\"\\u00e9\"}"},"extra_content":{"google":{"thought_signature":"dHdv"}}}]},
			{"role":"tool","tool_call_id":"b","content":" {\"y\":1} "},{"role":"tool","tool_call_id":"a__thought__c2ln","content":[{"type":"text","text":"o"},{"type":"text","text":"k"}]}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"function_call":{"name":"f","args":{},"id":"a"},"thoughtSignature":"c2ln"},{"function_call":{"name":"g","args":{"x":"é"},"id":"b"},"thoughtSignature":"dHdv"}]},
			{"role":"user","parts":[{"function_response":{"name":"g","response":{"y":1},"id":"b"}},{"function_response":{"name":"f","response":{"content":"ok"},"id":"a"}}]}]}`},
		"no ids and signatures before Gemini 3": {"gemini-2.5-flash", `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"function_call":{"name":"f","args":{}}}]},{"role":"user","parts":[{"function_response":{"name":"f","response":{"content":"1"}}}]}]}`},
		"a picture beside a result before Gemini 3": {"gemini-2.5-flash", `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"o"},{"type":"image_url","image_url":{"url":"data:image/jpg;base64,AA=="}}]}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"function_call":{"name":"f","args":{}}}]},
			{"role":"user","parts":[{"function_response":{"name":"f","response":{"content":"o"}}},{"inline_data":{"data":"AA==","mime_type":"image/jpeg"}}]}]}`},
		"thoughts and their signatures": {"gemini-3.5-flash", `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes","reasoning_content":"Hm","provider_specific_fields":{"thought_signatures":["c2ln"]}},{"role":"user","content":"So"}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"thought":true,"text":"Hm"},{"text":"Yes","thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"text":"So"}]}]}`},
		"documents, films and files": {"gemini-3.5-flash", `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application\/pdf;base64,JVBE\/Ri0=","filename":"a.pdf"}},
			{"type":"file","file":{"file_id":"https://generativelanguage.googleapis.com/v1beta/files/abc"}},{"type":"video_url","video_url":"gs://bucket/a.mp4"},{"type":"image_url","image_url":{"url":"gs://bucket/a","format":"image/webp","detail":"low"}}]}]}`,
			`{"contents":[{"role":"user","parts":[{"inline_data":{"data":"JVBE/Ri0=","mime_type":"application/pdf"}},{"file_data":{"file_uri":"https://generativelanguage.googleapis.com/v1beta/files/abc"}},
			{"file_data":{"mime_type":"video/mp4","file_uri":"gs://bucket/a.mp4"}},{"file_data":{"mime_type":"image/webp","file_uri":"gs://bucket/a"},"media_resolution":{"level":"MEDIA_RESOLUTION_LOW"}}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := encoded(t, test.model, test.body, false)
			if err != nil {
				t.Fatal(err)
			}
			if want := decode(t, test.want); !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", pretty(got), pretty(want))
			}
		})
	}
}

// What has no place is refused by its name, or left out where that was asked for.
func TestEncodeChatRefuses(t *testing.T) {
	for name, test := range map[string]struct{ model, members, param string }{
		"unknown":           {"", `"min_p":0.1`, "min_p"},
		"bias":              {"", `"logit_bias":{"1":2}`, "logit_bias"},
		"store":             {"", `"store":true`, "store"},
		"metadata":          {"", `"metadata":{"a":"b"}`, "metadata"},
		"sampling":          {"gemini-3.6-flash", `"top_p":0.5`, "top_p"},
		"sampling, lite":    {"gemini-3.5-flash-lite", `"temperature":1`, "temperature"},
		"penalty":           {"gemini-3.5-flash", `"frequency_penalty":0.5`, "frequency_penalty"},
		"parallel":          {"", `"parallel_tool_calls":false`, "parallel_tool_calls"},
		"effort":            {"gemini-3.5-flash", `"reasoning_effort":"xhigh"`, "reasoning_effort"},
		"effort, budget":    {"gemini-2.5-flash", `"reasoning_effort":"some"`, "reasoning_effort"},
		"effort, too early": {"gemini-2.0-flash", `"reasoning_effort":"low"`, "reasoning_effort"},
		"thinking":          {"", `"thinking":{"type":"odd"}`, "thinking"},
		"format":            {"", `"response_format":{"type":"grammar"}`, "response_format"},
		"verbosity":         {"", `"verbosity":"low"`, "verbosity"},
		"search options":    {"", `"web_search_options":{"search_context_size":"low"}`, "web_search_options"},
		"sound":             {"", `"audio":{"voice":"Kore","format":"mp3"}`, "audio.format"},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(`{` + hello + `,` + test.members + `}`)
			to := target{family: familyOf(test.model)}
			_, err := encodeChat(nil, body, to)
			var e *schema.Error
			if !errors.As(err, &e) || e.Param != test.param || e.Class != schema.ClassRequestFatal || !strings.Contains(e.Message, test.param) {
				t.Errorf("got %v", err)
			}
			to.drop = protocol.Upstream{DropParams: true}.Drop()
			raw, err := encodeChat(nil, body, to)
			if err != nil || !json.Valid(raw) {
				t.Errorf("with drop_params: %s, %v", raw, err)
			}
			if strings.Contains(string(raw), test.param) {
				t.Errorf("it is not left out: %s", raw)
			}
		})
	}
}

// What is wrong with a message is told by its place, whatever drop_params says.
func TestEncodeChatBadMessages(t *testing.T) {
	for messages, place := range map[string]string{
		``:                                 "messages",
		`{"role":"user","content":""}`:     "messages[0].content",
		`{"role":"user","content":[]}`:     "messages[0].content",
		`{"role":"user","content":7}`:      "messages[0].content",
		`{"role":"user"}`:                  "messages[0].content",
		`{"role":"critic","content":"Hi"}`: "messages[0].role",
		`7`:                                "messages[0]",
		`{"role":"user","content":[{"type":"text","text":"a"},{"type":"odd"}]}`:                                                  "messages[0].content[1].type",
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,AA"}}]}`:                               "messages[0].content[0].image_url",
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}`:                              "messages[0].content[0].image_url",
		`{"role":"user","content":[{"type":"image_url","image_url":{"url":"gs://bucket/a"}}]}`:                                   "messages[0].content[0].image_url",
		`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA=="}}]}`:                                       "messages[0].content[0].input_audio",
		`{"role":"user","content":[{"type":"file","file":{"filename":"a"}}]}`:                                                    "messages[0].content[0].file",
		`{"role":"system","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}`:                      "messages[0].content[0].type",
		`{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":"[1]"}}]}`: "messages[1].tool_calls",
		`{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"x"}]}`:                                           "messages[1].tool_calls",
		`{"role":"user","content":"a"},{"role":"tool","content":"b"}`:                                                            "messages[1].tool_call_id",
	} {
		_, err := encodeChat(nil, []byte(`{"messages":[`+messages+`]}`), target{family: familyOf("gemini-3.5-flash"), drop: protocol.Upstream{DropParams: true}.Drop()})
		var e *schema.Error
		if !errors.As(err, &e) || e.Param != place || e.Class != schema.ClassRequestFatal {
			t.Errorf("%s: got %v, want a word on %s", messages, err, place)
		}
	}
}

// Vertex AI fetches addresses itself, and has labels.
func TestEncodeChatVertex(t *testing.T) {
	got, err := encoded(t, "gemini-3.5-flash", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.PNG?x=1"}}]}],"metadata":{"team":"a"}}`, true)
	if err != nil {
		t.Fatal(err)
	}
	want := decode(t, `{"contents":[{"role":"user","parts":[{"file_data":{"mime_type":"image/png","file_uri":"https://example.com/a.PNG?x=1"}}]}],"labels":{"team":"a"}}`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", pretty(got))
	}
}

// Names that Gemini does not take go over as others, no two as the same, and are
// found again.
func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"get_weather", "a/b", "a b", "a_b", "7up", "_x", "é", strings.Repeat("n", maxName), strings.Repeat("n", maxName+1), strings.Repeat("n", maxName) + "/", "a.b:c-d"} {
		var r request
		r.appendName([]byte(name))
		var made string
		if err := json.Unmarshal(r.out, &made); err != nil {
			t.Fatal(err)
		}
		if rewritten([]byte(made)) {
			t.Errorf("%q becomes %q, which Gemini does not take", name, made)
		}
		if other, twice := seen[made]; twice {
			t.Errorf("%q and %q both become %q", name, other, made)
		}
		seen[made] = name
		body := []byte(`{"tools":[{"type":"function","function":{"name":"x"}},{"type":"function","function":{"name":"` + name + `"}}]}`)
		if got := string(originalName(body, []byte(made))); got != name {
			t.Errorf("%q is found again as %q", name, got)
		}
	}
	if got := string(originalName([]byte(`{}`), []byte("f_0123abcd"))); got != "f_0123abcd" {
		t.Errorf("a name that nobody rewrote becomes %q", got)
	}
}

// Whatever a body holds, what is sent is JSON, or the request is refused.
func FuzzEncodeChat(f *testing.F) {
	for _, body := range []string{
		`{` + hello + `}`, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:a;base64,b\"","detail":"high"}}]}]}`, `[]`, `{"messages":[{}]}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"\u0000","function":{"name":"a\"b","arguments":"{"}}],"images":[7]}]}`,
		`{` + hello + `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":["x"]}}}],"tool_choice":{"function":{"name":"f"}},"generationConfig":{"a":1},"stop":7}`,
		`{"messages":[{"role":"tool","name":"f","content":[{"type":"image_url","image_url":"data:x;base64,"}]}],"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`,
		`{` + hello + `,"modalities":["text",7],"audio":{"voice":1},"thinking":{"type":"enabled","budget_tokens":"x"},"labels":{},"n":{}}`,
	} {
		f.Add(body, "gemini-3.5-flash", true)
		f.Add(body, "gemini-2.5-pro", false)
	}
	f.Fuzz(func(t *testing.T, body, model string, drop bool) {
		if !json.Valid([]byte(body)) {
			return // the router has seen to that
		}
		raw, err := encodeChat(nil, []byte(body), target{family: familyOf(model), drop: protocol.Upstream{DropParams: drop}.Drop(), vertex: len(model)%2 == 0})
		if err == nil && !json.Valid(raw) {
			t.Errorf("%s becomes %s", body, raw)
		}
	})
}
