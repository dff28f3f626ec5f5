package litellm

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pelton/router/openai"
	"pelton/router/protocol"
	"pelton/schema"
)

// Where the presets lead, without a call.
func TestPresets(t *testing.T) {
	env := map[string]string{"X": "k"}
	for model, want := range map[string]string{
		"openrouter/anthropic/claude-3.5-sonnet": "https://openrouter.ai/api/v1/chat/completions",
		"groq/llama-3.3-70b-versatile":           "https://api.groq.com/openai/v1/chat/completions",
		"together_ai/Qwen/Qwen2.5-7B":            "https://api.together.ai/v1/chat/completions",
		"ollama/llama3":                          "http://127.0.0.1:11434/v1/chat/completions",
		"lm_studio/qwen3":                        "http://127.0.0.1:1234/v1/chat/completions",
		"llamafile/x":                            "http://127.0.0.1:8080/v1/chat/completions",
		"mistral/mistral-small":                  "https://api.mistral.ai/v1/chat/completions",
		"deepseek/deepseek-chat":                 "https://api.deepseek.com/v1/chat/completions",
		"gpt-4o":                                 "https://api.openai.com/v1/chat/completions",
	} {
		text := fmt.Sprintf("model_list: [{model_name: m, litellm_params: {model: %s, api_key: os.environ/X}}]", model)
		cfg, warnings, err := parse("c.yaml", []byte(text), environ(env))
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", model, err, warnings)
			continue
		}
		p, err := openai.New(protocol.Upstream{BaseURL: cfg.Deployments[0].BaseURL, Model: cfg.Deployments[0].Model})
		if err != nil {
			t.Fatal(err)
		}
		c := protocol.Call{Endpoint: schema.ChatCompletions}
		if err := p.Encode(t.Context(), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.Req.URL.String(); got != want {
			t.Errorf("%s goes to %s, want %s", model, got, want)
		}
	}
}

// A provider with a protocol of its own has settings, from the file or the
// environment, needs no address, and is told to leave parameters out.
func TestOwnProtocol(t *testing.T) {
	providers["native"] = provider{
		protocol: "azure", keyEnvs: []string{"NATIVE_KEY"}, settings: map[string][]string{"region": {"NATIVE_REGION", "REGION"}, "project": {"NATIVE_PROJECT"}, "none": nil},
	}
	t.Cleanup(func() { delete(providers, "native") })
	env := environ(map[string]string{"NATIVE_KEY": testKey, "REGION": "r-1", "NATIVE_PROJECT": "not this"})
	text := "model_list: [{model_name: a, litellm_params: {model: native/m, project: p-1, api_base: 'http://h'}}, {model_name: b, litellm_params: {model: openai/m, api_key: k}}]\n" +
		"litellm_settings: {drop_params: true}"
	cfg, warnings, err := parse("c.yaml", []byte(text), env)
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Message, "NATIVE_KEY is set and not sent") {
		t.Fatal(err, warnings)
	}
	d := cfg.Deployments[0]
	if d.Protocol != "azure" || d.Settings["region"].Reveal() != "r-1" || len(d.Settings) != 2 || d.Settings["project"].Reveal() != "p-1" || !d.DropParams || !cfg.Deployments[1].DropParams {
		t.Errorf("%+v, region %q, drops %v", d, d.Settings["region"].Reveal(), d.DropParams)
	}
}

// Google's models go by generateContent, by the Gemini API's key or Vertex AI's
// account; an address of Google's OpenAI endpoint is one of OpenAI's protocol.
func TestGoogle(t *testing.T) {
	env := environ(map[string]string{
		"GEMINI_API_KEY": testKey, "VERTEXAI_PROJECT": "p-env", "VERTEX_LOCATION": "l-env", "VERTEXAI_CREDENTIALS": "/c.json", "ACCOUNT": "/d.json",
	})
	for params, want := range map[string]struct {
		protocol, model, base string
		settings              map[string]string
	}{
		"model: gemini/gemini-3.5-flash": {"gemini", "gemini-3.5-flash", "", nil},
		"model: gemini-3.5-flash":        {"gemini", "gemini-3.5-flash", "", nil},
		"model: gemini/*":                {"gemini", "*", "", nil},
		"{model: gemini/m, api_key: k, api_base: 'http://127.0.0.1:9'}":                                       {"gemini", "m", "http://127.0.0.1:9", nil},
		"{model: gemini/m, api_key: k, api_base: 'https://generativelanguage.googleapis.com/v1beta/openai/'}": {"", "m", "https://generativelanguage.googleapis.com/v1beta/openai", nil},
		"model: vertex_ai/gemini-3.5-flash": {
			"vertex_ai", "gemini-3.5-flash", "", map[string]string{"vertex_project": "p-env", "vertex_location": "l-env", "vertex_credentials": "/c.json"},
		},
		"{model: vertex_ai_beta/meta/llama-3.3-70b-instruct-maas, vertex_ai_project: p, vertex_location: l, vertex_credentials: os.environ/ACCOUNT}": {
			"vertex_ai", "meta/llama-3.3-70b-instruct-maas", "",
			map[string]string{"vertex_ai_project": "p", "vertex_location": "l", "vertex_credentials": "/d.json"},
		},
	} {
		if params[0] != '{' {
			params = "{" + params + "}"
		}
		cfg, warnings, err := parse("c.yaml", []byte("model_list: [{model_name: '*', litellm_params: "+params+"}]"), env)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", params, err, warnings)
			continue
		}
		d, settings := cfg.Deployments[0], map[string]string(nil)
		for name, value := range d.Settings {
			if settings == nil {
				settings = map[string]string{}
			}
			settings[name] = value.Reveal()
		}
		if d.Protocol != want.protocol || d.Model != want.model || d.BaseURL != want.base || !maps.Equal(settings, want.settings) {
			t.Errorf("%s: protocol %q, model %q, base %q, settings %v", params, d.Protocol, d.Model, d.BaseURL, settings)
		}
	}
	if _, _, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {model: gemini/m}}]"), environ(nil)); err == nil || !strings.Contains(err.Error(), "GEMINI_API_KEY") {
		t.Errorf("without a key: %v", err)
	}
}
