package litellm

import (
	"fmt"
	"strings"
	"testing"
)

// What is not carried out and matters refuses the file, or costs the deployment.
func TestGuards(t *testing.T) {
	for text, want := range map[string]string{
		g1("model: openai/m, api_key: k") + "guardrails: [{guardrail_name: g, litellm_params: {guardrail: presidio, mode: pre_call, default_on: true}}]": "guardrails",
		g1("model: openai/m, api_key: k") + "litellm_settings: {callbacks: [langfuse, hide_secrets]}":                                                    "hide_secrets",
		g1("model: openai/m, api_key: k, guardrails: [pii]"):                                                                                             "guardrails",
		g1("model: openai/m, api_key: k, prompt_id: p"):                                                                                                  "prompt_id",
		g1("model: openai/m, api_key: k") + "litellm_settings: {tag_budget_config: {x: {max_budget: 1}}}":                                                "tag_budget_config",
		g1("model: openai/m, api_key: k, max_budget: 1"):                                                                                                 "max_budget",
	} {
		if _, _, err := parse("c.yaml", []byte(text), environ(nil)); err == nil || !strings.Contains(err.Error(), "--accept-unused "+want) {
			t.Errorf("%s: %v", text, err)
		}
		if _, warnings, err := parse("c.yaml", []byte(text), environ(nil), "other", want); err != nil || len(warnings) == 0 || !strings.Contains(fmt.Sprint(warnings), "accepted") {
			t.Errorf("%s: %v %v", text, warnings, err)
		}
	}
	_, _, err := parse("c.yaml", []byte(g1("model: azure/m, api_base: 'https://h', api_version: v, azure_ad_token: oidc/google/x")), environ(nil))
	if err == nil || !strings.Contains(err.Error(), "OpenID Connect") {
		t.Error(err)
	}
	_, warnings, err := parse("c.yaml", []byte(g1("model: openai/m, api_key: k")+"guardrails: [{guardrail_name: g, litellm_params: {guardrail: presidio, mode: pre_call}}]"), environ(nil))
	if err != nil || !strings.Contains(fmt.Sprint(warnings), "a request that asks for one is refused") {
		t.Error(warnings, err)
	}
}
