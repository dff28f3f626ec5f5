package litellm

import (
	"strings"
	"testing"

	"pelton/router"
)

// Where models of Anthropic's lie, and how they are spoken to.
func TestClaudesOfAConfiguration(t *testing.T) {
	env := map[string]string{"ANTHROPIC_API_KEY": "sk-env", "AZURE_AI_API_KEY": "az-env", "AZURE_AI_API_BASE": "https://r.services.ai.azure.com", "AWS_BEARER_TOKEN_BEDROCK": "ABSK-env"}
	for name, test := range map[string]struct{ params, protocol, base, model, key string }{
		"anthropic":             {`model: anthropic/claude-sonnet-4-6`, "anthropic", "https://api.anthropic.com", "claude-sonnet-4-6", "sk-env"},
		"without a prefix":      {`model: claude-sonnet-4-6`, "anthropic", "https://api.anthropic.com", "claude-sonnet-4-6", "sk-env"},
		"another address":       {`model: anthropic/x, api_base: "http://127.0.0.1:9/v1", api_key: k`, "anthropic", "http://127.0.0.1:9/v1", "x", "k"},
		"an address of OpenAI":  {`model: anthropic/x, api_base: "https://gw.example/compat/v1", api_key: k`, "", "https://gw.example/compat/v1", "x", "k"},
		"OpenAI's, by prefix":   {`model: openai/claude-sonnet-4-6, api_base: "https://api.anthropic.com/v1", api_key: k`, "", "https://api.anthropic.com/v1", "claude-sonnet-4-6", "k"},
		"azure":                 {`model: azure_ai/claude-opus-4-6`, "anthropic_azure", "https://r.services.ai.azure.com", "claude-opus-4-6", "az-env"},
		"azure, OpenAI's":       {`model: azure_ai/claude-opus-4-6, api_base: "https://r.services.ai.azure.com/openai/v1", api_key: k`, "", "https://r.services.ai.azure.com/openai/v1", "claude-opus-4-6", "k"},
		"bedrock":               {`model: bedrock/us.anthropic.claude-sonnet-4-6, aws_region_name: us-east-1`, "anthropic_bedrock", "", "us.anthropic.claude-sonnet-4-6", "ABSK-env"},
		"bedrock, invoke":       {`model: bedrock/invoke/us.anthropic.claude-sonnet-4-6, aws_region_name: us-east-1, api_key: k`, "anthropic_bedrock", "", "us.anthropic.claude-sonnet-4-6", "k"},
		"bedrock, converse":     {`model: bedrock/converse/us.anthropic.claude-sonnet-4-6, aws_region_name: us-east-1`, "bedrock", "", "us.anthropic.claude-sonnet-4-6", "ABSK-env"},
		"bedrock, in a region":  {`model: bedrock/eu-west-1/anthropic.claude-v2`, "anthropic_bedrock", "", "eu-west-1/anthropic.claude-v2", "ABSK-env"},
		"bedrock, mantle":       {`model: bedrock_mantle/anthropic.claude-opus-4-8`, "anthropic_mantle", "", "anthropic.claude-opus-4-8", "ABSK-env"},
		"vertex":                {`model: vertex_ai/claude-sonnet-4-6, vertex_project: p, vertex_ai_location: eu, token_command: echo x`, "anthropic_vertex", "", "claude-sonnet-4-6", ""},
		"azure, Entra's token":  {`model: azure_ai/claude-opus-4-6, azure_ad_token: t`, "anthropic_azure", "https://r.services.ai.azure.com", "claude-opus-4-6", "az-env"},
		"what is to be dropped": {`model: anthropic/claude-sonnet-4-6, drop_params: true`, "anthropic", "https://api.anthropic.com", "claude-sonnet-4-6", "sk-env"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "model_list: [{model_name: m, litellm_params: {" + test.params + "}}]"
			cfg, warnings, err := parse("c.yaml", []byte(text), environ(env))
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v %v", err, warnings)
			}
			d := cfg.Deployments[0]
			if d.Protocol != test.protocol || d.BaseURL != test.base || d.Model != test.model || d.APIKey.Reveal() != test.key {
				t.Errorf("protocol %q, base %q, model %q, key %v", d.Protocol, d.BaseURL, d.Model, d.APIKey.Reveal() == test.key)
			}
			if d.DropParams != strings.Contains(test.params, "drop_params") {
				t.Errorf("drop_params is %v", d.DropParams)
			}
			if _, err := router.New(cfg); err != nil {
				t.Error(err)
			}
		})
	}
	for params, want := range map[string]string{
		`model: vertex_ai/claude-sonnet-4-6, vertex_location: eu, vertex_credentials: "{"`: "JSON",
		`model: vertex_ai/claude-sonnet-4-6, token_command: echo`:                          "vertex_project",
	} {
		cfg, _, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {"+params+"}}]"), environ(env))
		if err == nil {
			_, err = router.New(cfg)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a word on %s", params, err, want)
		}
	}
}
