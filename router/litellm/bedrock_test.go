package litellm

import (
	"strings"
	"testing"

	"pelton/router"
)

// Where models on Bedrock lie, how they are spoken to, and what proves who asks.
func TestBedrockOfAConfiguration(t *testing.T) {
	const keys = `aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: os.environ/SECRET, `
	env := map[string]string{"SECRET": "wJalrXUt", "AWS_DEFAULT_REGION": "eu-west-1", "BEDROCK_MANTLE_API_KEY": "ABSK-mantle"}
	for name, test := range map[string]struct{ params, protocol, base, model, key, region string }{
		"by keys":     {keys + `model: "bedrock/us.amazon.nova-lite-v1:0", aws_region_name: us-east-1`, "bedrock", "", "us.amazon.nova-lite-v1:0", "", "us-east-1"},
		"by a key":    {`model: bedrock/meta.llama3-70b, api_key: ABSK`, "bedrock", "", "meta.llama3-70b", "ABSK", "eu-west-1"},
		"by search":   {`model: bedrock/meta.llama3-70b, aws_profile_name: p, aws_role_name: "arn:aws:iam::1:role/r"`, "bedrock", "", "meta.llama3-70b", "", "eu-west-1"},
		"endpoint":    {keys + `model: bedrock/m, api_base: "http://127.0.0.1:9"`, "bedrock", "http://127.0.0.1:9", "m", "", "eu-west-1"},
		"an ARN":      {keys + `model: "bedrock/converse/arn:aws:bedrock:us-west-2:1:inference-profile/x"`, "bedrock", "", "arn:aws:bedrock:us-west-2:1:inference-profile/x", "", "eu-west-1"},
		"by provider": {keys + `model: meta.llama3-70b, custom_llm_provider: bedrock`, "bedrock", "", "meta.llama3-70b", "", "eu-west-1"},
		"mantle":      {`model: bedrock_mantle/openai.gpt-oss-120b, aws_region_name: us-west-2`, "bedrock_mantle", "", "openai.gpt-oss-120b", "ABSK-mantle", "us-west-2"},
		"OpenAI's":    {`model: bedrock/openai.gpt-oss-20b-1:0, api_key: k, api_base: "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"`, "", "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "openai.gpt-oss-20b-1:0", "k", "eu-west-1"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, warnings, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {"+test.params+"}}]"), environ(env))
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v %v", err, warnings)
			}
			d := cfg.Deployments[0]
			if d.Protocol != test.protocol || d.BaseURL != test.base || d.Model != test.model || d.APIKey.Reveal() != test.key || d.Settings["aws_region_name"].Reveal() != test.region {
				t.Errorf("protocol %q, base %q, model %q, region %q", d.Protocol, d.BaseURL, d.Model, d.Settings["aws_region_name"].Reveal())
			}
			r, err := router.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		})
	}
	for params, want := range map[string]string{
		`model: bedrock/m, aws_access_key_id: a, aws_region_name: us-east-1`: "aws_secret_access_key",
		`model: bedrock/m, aws_region_name: "us-east-1.evil.example/"`:       "is no region",
		`model: bedrock_mantle/m`: "BEDROCK_MANTLE_API_KEY",
		`model: bedrock/agent/x`:  "chat completions",
	} {
		cfg, _, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {"+params+"}}]"), environ(map[string]string{}))
		if err == nil {
			_, err = router.New(cfg)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a word on %s", params, err, want)
		}
	}
}
