package litellm

import (
	"strings"
	"testing"

	"pelton/router"
)

// Where Cohere's models lie, and how they are spoken to.
func TestCohereOfAConfiguration(t *testing.T) {
	env := map[string]string{"CO_API_KEY": "co-env"}
	for name, test := range map[string]struct{ params, protocol, base, model, key string }{
		"cohere":       {`model: cohere/command-a-03-2025`, "cohere", "https://api.cohere.com", "command-a-03-2025", "co-env"},
		"cohere_chat":  {`model: cohere_chat/v1/command-r, api_key: k`, "cohere", "https://api.cohere.com", "command-r", "k"},
		"version 2":    {`model: cohere/v2/command-r`, "cohere", "https://api.cohere.com", "command-r", "co-env"},
		"by provider":  {`model: command-r, custom_llm_provider: cohere`, "cohere", "https://api.cohere.com", "command-r", "co-env"},
		"an address":   {`model: cohere/x, api_base: "http://127.0.0.1:9/v2/chat", api_key: k`, "cohere", "http://127.0.0.1:9/v2/chat", "x", "k"},
		"OpenAI's one": {`model: cohere/x, api_base: "https://api.cohere.ai/compatibility/v1", api_key: k`, "", "https://api.cohere.ai/compatibility/v1", "x", "k"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, warnings, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {"+test.params+"}}]"), environ(env))
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v %v", err, warnings)
			}
			d := cfg.Deployments[0]
			if d.Protocol != test.protocol || d.BaseURL != test.base || d.Model != test.model || d.APIKey.Reveal() != test.key {
				t.Errorf("protocol %q, base %q, model %q, key %v", d.Protocol, d.BaseURL, d.Model, d.APIKey.Reveal() == test.key)
			}
			if _, err := router.New(cfg); err != nil {
				t.Error(err)
			}
		})
	}
	_, _, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {model: cohere/x}}]"), environ(nil))
	if err == nil || !strings.Contains(err.Error(), "COHERE_API_KEY") {
		t.Errorf("without a key: %v", err)
	}
}
