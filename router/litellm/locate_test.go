package litellm

import (
	"strings"
	"testing"
)

// Models that answer no text are said to be none that is served.
func TestModelsWithoutText(t *testing.T) {
	for model, served := range map[string]bool{
		"openai/dall-e-3": false, "whisper-1": false, "tts-1-hd": false, "openai/gpt-4o-mini-tts": false, "gpt-4o-transcribe": false, "openai/gpt-4o-realtime-preview-2024-10-01": false,
		"azure/gpt-image-1": false, "openai/omni-moderation-latest": false, "voyage/rerank-2": false, "jina_ai/jina-reranker-v2": false,
		"gpt-4o": true, "openai/gpt-4o-audio-preview": true, "text-embedding-3-small": true, "openai/*": true, "groq/llama-3.3-70b-versatile": true,
	} {
		if _, err := locate(model, "", ""); (err == nil) != served {
			t.Errorf("%s: %v", model, err)
		}
	}
	if _, err := locate("hosted_vllm/whisper-1", "", "http://h"); err != nil {
		t.Error("a server of one's own: ", err)
	}
}

// A model on Bedrock that says no region is in LiteLLM's, or in its own.
func TestRegionOfBedrock(t *testing.T) {
	for model, want := range map[string]string{
		"bedrock/anthropic.claude-instant-v1": "us-west-2", "bedrock/converse/arn:aws:bedrock:eu-west-3:1:inference-profile/x": "", "bedrock/eu-central-1/anthropic.claude-v2": "",
	} {
		cfg, _, err := parse("c.yaml", []byte(g1("model: '"+model+"', aws_access_key_id: a, aws_secret_access_key: b")), environ(nil))
		if err != nil || cfg.Deployments[0].Settings["aws_region_name"].Reveal() != want {
			t.Errorf("%s: %v", model, err)
		}
	}
}

// One entry with several organizations is a deployment for each; what cannot be a
// header is not sent.
func TestOrganizations(t *testing.T) {
	cfg, warnings, err := parse("c.yaml", []byte(g1("model: openai/m, api_key: k, organization: [org-1, org-2], extra_headers: {AI-Resource Group: x, X-Ok: y}")), environ(nil))
	if err != nil || len(cfg.Deployments) != 2 || cfg.Deployments[0].Organization != "org-1" || cfg.Deployments[1].Organization != "org-2" || cfg.Deployments[0].ID == cfg.Deployments[1].ID {
		t.Fatalf("%+v %v", cfg, err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Message, "is no header name") || len(cfg.Deployments[0].Headers) != 1 {
		t.Errorf("%v, %d headers", warnings, len(cfg.Deployments[0].Headers))
	}
}

// The key of a provider's variable goes to the provider's own addresses, also where
// the file names one.
func TestKeysOfProviders(t *testing.T) {
	env := environ(map[string]string{"AZURE_API_KEY": testKey, "OPENAI_API_KEY": testKey})
	for params, want := range map[string]string{
		"model: azure/m, api_version: v, api_base: 'https://r.openai.azure.com'":                            testKey,
		"model: openai/m, api_base: 'https://api.openai.com/v1'":                                            testKey,
		"model: openai/m, api_base: 'http://api.openai.com/v1'":                                             "",
		"model: openai/m, api_base: 'https://api.openai.com.example/v1'":                                    "",
		"model: azure/m, api_version: v, api_base: 'https://r.openai.azure.com.example', azure_ad_token: t": "",
	} {
		cfg, _, err := parse("c.yaml", []byte(g1(params)), env)
		if err != nil || cfg.Deployments[0].APIKey.Reveal() != want {
			t.Errorf("%s: %v", params, err)
		}
	}
	_, _, err := parse("c.yaml", []byte(g1("model: azure/m, api_version: v, api_base: 'https://gateway.example'")), env)
	if err == nil || !strings.Contains(err.Error(), "no key for azure") || !strings.Contains(err.Error(), "AZURE_API_KEY is set and not sent") {
		t.Errorf("azure elsewhere: %v", err)
	}
}

// Of a prefix that LiteLLM knows the upstream hears nothing, wherever it is.
func TestPrefixesAreTaken(t *testing.T) {
	for prefix := range strings.FieldsSeq("lambda_ai hyperbolic nscale v0 baseten docker_model_runner featherless_ai galadriel llamagate morph vercel_ai_gateway wandb snowflake " +
		"databricks ovhcloud friendliai aiml gmi zai minimax huggingface xinference oobabooga cometapi empower openai hosted_vllm") {
		meaning{config: g1("model: " + prefix + "/m, api_base: '@a', api_key: k"), went: "a", sent: `{"model":"m"}`}.test(t)
	}
	meaning{config: g1("model: meta-llama/Llama-3, api_base: '@a', api_key: k"), went: "a", sent: `{"model":"meta-llama/Llama-3"}`}.test(t)
}

// Names without a prefix that say where they are.
func TestBareNames(t *testing.T) {
	for model, want := range map[string]string{
		"embed-english-v3.0": "cohere", "command-r-plus": "cohere", "us.anthropic.claude-sonnet-4-20250514-v1:0": "anthropic_bedrock",
		"amazon.nova-lite-v1:0": "bedrock", "gpt-4o": "", "o3": "", "claude-sonnet-4": "anthropic",
	} {
		cfg, _, err := parse("c.yaml", []byte(g1("api_key: k, aws_region_name: us-east-1, model: '"+model+"'")), environ(nil))
		if err != nil || cfg.Deployments[0].Protocol != want {
			t.Errorf("%s: %+v %v", model, cfg, err)
		}
	}
}
