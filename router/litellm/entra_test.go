package litellm

import (
	"fmt"
	"strings"
	"testing"

	"pelton/router"
)

// Whose tokens are used with Azure: what the file says, what stands in the
// environment, or what Azure's own search finds.
func TestEntraOfAConfiguration(t *testing.T) {
	const (
		app    = `tenant_id: t, client_id: c, client_secret: os.environ/SECRET`
		azure  = `model: azure/d, api_version: "1", api_base: "https://r.openai.azure.com", `
		models = `model: azure_ai/m, api_base: "https://r.services.ai.azure.com", `
		claude = `model: azure_ai/claude-opus-4-6, api_base: "https://r.services.ai.azure.com", `
	)
	file := map[string]string{"SECRET": "s"}
	all := map[string]string{"AZURE_TENANT_ID": "et", "AZURE_CLIENT_ID": "ec", "AZURE_CLIENT_SECRET": "es", "AZURE_SCOPE": "x/.default"}
	for name, test := range map[string]struct {
		params, more string
		env          map[string]string
		want, key    string
	}{
		"in the file":           {azure + app, "", file, "t c s   ", ""},
		"before a key":          {azure + app + `, api_key: k`, "", file, "t c s   ", ""},
		"in part":               {azure + `client_secret: os.environ/SECRET`, "", map[string]string{"SECRET": "s", "AZURE_TENANT_ID": "et", "AZURE_CLIENT_ID": "ec"}, "et ec s   ", ""},
		"Foundry":               {models + app, "", file, "t c s   ", ""},
		"Claude on Foundry":     {claude + app, "", file, "t c s   ", ""},
		"in the environment":    {azure, "", all, "et ec es x/.default  ", ""},
		"a key before that":     {azure + `api_key: k`, "", all, "    ", "k"},
		"search, as said":       {azure, "litellm_settings: {enable_azure_ad_token_refresh: true}", nil, "    true", ""},
		"search, by a tenant":   {azure + `tenant_id: t`, "", nil, "t    true", ""},
		"search, by a workload": {azure, "", map[string]string{"AZURE_FEDERATED_TOKEN_FILE": "/f"}, "    true", ""},
		"a command before all":  {azure + app + `, azure_ad_token_command: echo x`, "", file, "    ", ""},
		"by OpenAI's path":      {`model: azure/d, api_base: "https://r.openai.azure.com/openai/v1", ` + app, "", file, "t c s   ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := "model_list: [{model_name: m, litellm_params: {" + test.params + "}}]\n" + test.more
			cfg, warnings, err := parse("c.yaml", []byte(text), environ(test.env))
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v %v", err, warnings)
			}
			d := cfg.Deployments[0]
			var got []string
			for _, name := range []string{"tenant_id", "client_id", "client_secret", "azure_scope", "azure_default_credential"} {
				got = append(got, d.Settings[name].Reveal())
			}
			if text := strings.Join(got, " "); strings.TrimSpace(text) != strings.TrimSpace(test.want) || d.APIKey.Reveal() != test.key {
				t.Errorf("settings %q, key %v", text, !d.APIKey.Empty())
			}
			if text := fmt.Sprintf("%+v", d); strings.Contains(text, "es]") || strings.Contains(text, ":s ") {
				t.Errorf("the secret prints: %s", text)
			}
			r, err := router.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		})
	}
	for params, want := range map[string]string{
		azure:                                    "tenant_id, client_id and client_secret",
		azure + `client_id: c, client_secret: s`: "tenant_id is not",
	} {
		if _, _, err := parse("c.yaml", []byte("model_list: [{model_name: m, litellm_params: {"+params+"}}]"), environ(nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a word on %s", params, err, want)
		}
	}
}
