package litellm

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/router"
	"pelton/schema"
)

// testKey is a key that must show up nowhere but at the upstream.
const testKey = "sk-test-0123456789abcdef"

func environ(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := pairs[name]; return value, ok }
}

var litellmEnv = map[string]string{
	"OPENAI_API_KEY": testKey, "OPENAI_ORG": "org-1", "OPENROUTER_API_KEY": "sk-or-1",
	"REFERER": "https://pelton.example", "LLM_TIMEOUT": "12.5", "GROQ_API_KEY": " gsk-1\n",
}

func TestLoadLiteLLM(t *testing.T) {
	cfg, warnings, err := Load("testdata/litellm.yaml", environ(litellmEnv))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		id, group, model, base, key, org string
		timeout                          time.Duration
	}
	want := []row{
		{"openai-primary", "gpt-4o", "gpt-4o", "https://api.openai.com/v1", testKey, "org-1", 30 * time.Second},
		{"gpt-4o-1", "gpt-4o", "openai/gpt-4o", "https://openrouter.ai/api/v1", "sk-or-1", "", 0},
		{"llama-1", "llama", "meta-llama/Llama-3.1-8B", "http://gpu-1:8000/v1", "", "", 0},
		{"qwen-1", "qwen", "qwen3", "http://box:11434/v1", "", "", 0},
		{"groq-1", "groq/*", "*", "https://api.groq.com/openai/v1", "gsk-1", "", 0},
		{"openai-1", "*", "*", "https://api.openai.com/v1", testKey, "", 0},
	}
	var got []row
	for _, d := range cfg.Deployments {
		got = append(got, row{d.ID, d.Group, d.Model, d.BaseURL, d.APIKey.Reveal(), d.Organization, d.Timeout})
	}
	if !slices.Equal(got, want) {
		t.Errorf("deployments:\n%v\nwant:\n%v", got, want)
	}
	if *cfg.NumRetries != 4 || cfg.Timeout != 12500*time.Millisecond {
		t.Errorf("retries %d, timeout %v", *cfg.NumRetries, cfg.Timeout)
	}
	if h := cfg.Deployments[1].Headers; h["X-Title"].Reveal() != "Pelton" || h["Http-Referer"].Reveal() != "https://pelton.example" {
		t.Errorf("extra headers: %v", len(h))
	}
	if got := cfg.Deployments[3].Headers["Authorization"].Reveal(); got != "Basic dXNlcjpwYXNz" {
		t.Errorf("credentials of the base URL became %q", got)
	}
	var lines []string
	for _, w := range warnings {
		lines = append(lines, strings.TrimPrefix(w.String(), "testdata/litellm.yaml:"))
	}
	wantWarnings := []string{
		"40: general_settings: not used by Pelton",
	}
	if !slices.Equal(lines, wantWarnings) {
		t.Errorf("warnings:\n%s", strings.Join(lines, "\n"))
	}
	if _, err := router.New(cfg); err != nil {
		t.Error(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, *cfg); strings.Contains(text, testKey) || strings.Contains(text, "pass") {
			t.Errorf("%s prints a secret: %s", verb, text)
		}
	}
}

func TestLoadReportsAllProblems(t *testing.T) {
	text := `
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/UNSET}
  - model_name: b
    litellm_params: {model: watsonx/llama, api_base: "https://x"}
  - model_name: c
    litellm_params: {model: acme/x}
  - litellm_params: {model: openai/x, api_key: k}
  - model_name: d
  - model_name: e
    litellm_params: {model: openai/x, api_key: k, timeout: soon}
    model_info: {id: same}
  - model_name: f
    litellm_params: {model: openai/x, api_key: k, api_base: "host:8000"}
    model_info: {id: same}
  - model_name: g
    model_name: g2
    litellm_params: {model: openai/x, api_key: k}
  - model_name: h
    litellm_params: {model: groq/x}
  - model_name: i
    litellm_params: {model: openai/*, api_key: k}
  - just text
  - model_name: j
    litellm_params: {model: hosted_vllm/x}
  - model_name: k
    litellm_params: {model: openai/x, api_key: "a\nb"}
  - model_name: l
    litellm_params: {model: azure/x, api_base: "https://x"}
  - model_name: m
    litellm_params: {model: [1], api_key: k}
router_settings:
  num_retries: -1
  timeout: 0
`
	cfg, warnings, err := parse("c.yaml", []byte(text), environ(nil))
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{
		`c.yaml:9: model_list[3].model_name: missing; it is the name that requests ask for`,
		`c.yaml:24: model_list[10]: must be a mapping of keys to values`,
		`c.yaml:34: router_settings.num_retries: "-1" must be a whole number from 0 to 100`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// What is wrong with a deployment costs its group alone.
	want = []string{
		`c.yaml:4: model_list[0]: the deployment is left out: litellm_params.api_key: the environment variable UNSET is not set`,
		`c.yaml:6: model_list[1]: the deployment is left out: litellm_params.model: "watsonx/llama": "watsonx" speaks a protocol of its own, not OpenAI's: put a gateway that speaks OpenAI's protocol in front of it`,
		`c.yaml:8: model_list[2]: the deployment is left out: litellm_params.model: "acme/x": unknown provider "acme": write "openai/x", with the address of its OpenAI-compatible endpoint as api_base, instead`,
		`c.yaml:10: model_list[4]: the deployment is left out: litellm_params: missing; it says which model it is and where`,
		`c.yaml:12: model_list[5]: the deployment is left out: litellm_params.timeout: "soon" must be a number of seconds, and not negative`,
		`c.yaml:15: model_list[6]: the deployment is left out: litellm_params.api_base must begin with https:// or http://`,
		`c.yaml:18: model_list[7].model_name: given in line 17 too; the last one counts`,
		`c.yaml:21: model_list[8]: the deployment is left out: litellm_params: no key for groq: set api_key, or GROQ_API_KEY in the environment`,
		`c.yaml:23: model_list[9]: the deployment is left out: litellm_params.model: model "*" holds a * for which the group "i" gives no text`,
		`c.yaml:26: model_list[11]: the deployment is left out: litellm_params.api_base: missing; "hosted_vllm" has no address of its own`,
		`c.yaml:28: model_list[12]: the deployment is left out: litellm_params.api_key: holds characters that no header can carry (a line break?)`,
		`c.yaml:30: model_list[13]: the deployment is left out: litellm_params: no key for azure: set api_key, or tenant_id, client_id and client_secret, azure_ad_token, azure_ad_token_file or azure_ad_token_command; or enable_azure_ad_token_refresh in litellm_settings`,
		`c.yaml:32: model_list[14]: the deployment is left out: litellm_params.model: must be one value, not a list or mapping`,
		`c.yaml:35: router_settings.timeout: 0 is no bound; leave the key out`,
	}
	got = nil
	for _, w := range warnings {
		got = append(got, w.String())
		if w.LeftOut != strings.Contains(w.Message, "is left out") {
			t.Errorf("%s: left out: %v", w, w.LeftOut)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if cfg != nil {
		t.Error("a configuration beside an error")
	}
}

// A group that cannot be served costs itself alone; none left is an error.
func TestGroupsThatCannotBeServed(t *testing.T) {
	text := `
model_list:
  - {model_name: good, litellm_params: {model: openai/m, api_key: k}}
  - {model_name: half, litellm_params: {model: openai/m, api_key: k, rpm: 0}, model_info: {id: one}}
  - {model_name: half, litellm_params: {model: openai/m, api_key: os.environ/UNSET}, model_info: {id: one}}
  - {model_name: unset, litellm_params: {model: openai/m, api_key: os.environ/UNSET}}
  - {model_name: unset, litellm_params: {model: watsonx/m}}
  - {model_name: "images-*", litellm_params: {model: openai/m, api_key: k}, model_info: {mode: image_generation}}
  - {model_name: twin, litellm_params: {model: openai/m, api_key: k, api_base: null, timeout: null, organization: }, model_info: {id: one}}
`
	cfg, warnings, err := parse("c.yaml", []byte(text), environ(nil))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range cfg.Deployments {
		ids = append(ids, d.Group+" "+d.ID)
	}
	if want := []string{"good good-1", "half one", "twin one-2"}; !slices.Equal(ids, want) {
		t.Errorf("deployments %q, want %q", ids, want)
	}
	if cfg.Deployments[2].BaseURL != router.DefaultBaseURL {
		t.Errorf("an api_base of null became %q", cfg.Deployments[2].BaseURL)
	}
	want := map[string]string{
		"unset":    `c.yaml:6: litellm_params.api_key: the environment variable UNSET is not set; c.yaml:7: litellm_params.model: "watsonx/m": "watsonx" speaks a protocol of its own, not OpenAI's: put a gateway that speaks OpenAI's protocol in front of it`,
		"images-*": "c.yaml:8: model_info.mode: image_generation is not served: chat completions, completions, responses and embeddings are",
	}
	if !maps.Equal(cfg.Unserved, want) {
		t.Errorf("unserved: %q", cfg.Unserved)
	}
	leftOut := 0
	for _, w := range warnings {
		if w.LeftOut {
			leftOut++
		}
	}
	if leftOut != 4 {
		t.Errorf("%d left out of %v", leftOut, warnings)
	}
	r, err := router.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, model := range []string{"unset", "images-large"} {
		out := r.Do(t.Context(), router.Request{Body: []byte(`{"model":"` + model + `","messages":[]}`)})
		if e := out.Error; e == nil || e.Class != schema.ClassUpstreamFatal || e.Code != schema.CodeNoDeployment || !strings.Contains(e.Message, "c.yaml:") {
			t.Errorf("%s: %v", model, out.Error)
		}
	}
	_, _, err = parse("c.yaml", []byte("model_list: [{model_name: a, litellm_params: {model: x, api_key: os.environ/UNSET}}, {model_name: b, litellm_params: {model: acme/x}}]"), environ(nil))
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "UNSET is not set") || !strings.Contains(err.Error(), "acme") {
		t.Errorf("no group is left: %v", err)
	}
}

// A file without models is a configuration without deployments, as in LiteLLM.
func TestNoModels(t *testing.T) {
	for _, text := range []string{"model_list: []", "model_list:", "router_settings: {num_retries: 1}"} {
		cfg, warnings, err := parse("c.yaml", []byte(text), environ(nil))
		if err != nil || len(cfg.Deployments) > 0 || len(warnings) != 1 || !strings.Contains(warnings[0].String(), "lists no model") {
			t.Errorf("%s: %v %v", text, warnings, err)
		}
	}
}

func TestLoadOddFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "c.yaml: the file is empty",
		"# nothing":                            "c.yaml: the file is empty",
		"- a\n- b":                             "c.yaml:1: the file: must be a mapping",
		"model_list: [a":                       "c.yaml:1: not valid YAML: did not find",
		"a: 1\n b: 2":                          "not valid YAML",
		"model_list: []\n---\nx: 1":            "a second YAML document",
		"x: &x {<<: *x}\nmodel_list: [*x]":     "c.yaml:",
		"model_list: {a: 1}":                   "must be a list",
		"? [1]\n: 2\nmodel_list: []":           "a key must be plain text",
		"model_list: [{model_name: ~, b: c}]":  "model_name: missing",
		"model_list: [{litellm_params: text}]": "must be a mapping",
	} {
		_, _, err := parse("c.yaml", []byte(text), environ(nil))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), os.LookupEnv); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file: %v", err)
	}
}

// A provider's key must not be sent to an address that a file names.
func TestProviderKeyStaysWithItsProvider(t *testing.T) {
	text := "model_list: [{model_name: a, litellm_params: {model: openai/x, api_base: 'https://elsewhere.example/v1'}}]"
	cfg, _, err := parse("c.yaml", []byte(text), environ(map[string]string{"OPENAI_API_KEY": testKey}))
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Deployments[0].APIKey.Empty() {
		t.Error("OPENAI_API_KEY goes to another host")
	}
}

func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		model, custom string
		hasBase       bool
		provider      string // or a part of the error
		name          string
	}{
		{"openai/gpt-4o-mini", "", false, "openai", "gpt-4o-mini"},
		{"gpt-4o-mini", "", false, "openai", "gpt-4o-mini"},
		{"*", "", false, "openai", "*"},
		{"openrouter/openai/gpt-4o", "", false, "openrouter", "openai/gpt-4o"},
		{"together_ai/meta-llama/Llama-3", "", false, "together_ai", "meta-llama/Llama-3"},
		{"meta-llama/Llama-3", "", true, "", "meta-llama/Llama-3"},
		{"meta-llama/Llama-3", "openai", true, "openai", "meta-llama/Llama-3"},
		{"openai/x", "openai", true, "openai", "x"},
		{"claude-sonnet-4", "", false, "anthropic", "claude-sonnet-4"},
		{"gemini-2.5-pro", "", false, "gemini", "gemini-2.5-pro"},
		{"acme/x", "", false, "unknown provider", ""},
		{"azure/x", "", true, "azure", "x"},
		{"x", "watsonx", true, "protocol of its own", ""},
		{"x", "bedrock", true, "bedrock", "x"},
		{"bedrock/invoke/x", "", false, "bedrock", "x"},
		{"bedrock/converse/anthropic.claude-v2", "", false, "bedrock_converse", "anthropic.claude-v2"},
		{"bedrock/mantle/anthropic.claude-opus-4-8", "", false, "bedrock_mantle", "anthropic.claude-opus-4-8"},
		{"bedrock/eu-central-1/x", "", false, "bedrock", "eu-central-1/x"},
		{"bedrock/agent/X", "", false, "chat completions", ""},
		{"bedrock/amazon.titan-embed-text-v2:0", "", false, "chat completions", ""},
		{"openai/", "", false, "no model behind", ""},
	} {
		base := ""
		if tt.hasBase {
			base = "https://h.example"
		}
		got, err := locate(tt.model, tt.custom, base)
		if err != nil {
			got.provider = err.Error()
		}
		if !strings.Contains(got.provider, tt.provider) || got.model != tt.name || tt.provider == "" && got.provider != "" {
			t.Errorf("%s (%s): %+v, want %s %s", tt.model, tt.custom, got, tt.provider, tt.name)
		}
	}
}

// A file that is no configuration is not read to its end.
func TestFilesAreBounded(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	file, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(1<<30), file.Close()); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, _, err := Load(large, environ(nil)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("configuration: %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 128<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

// A few lines of YAML can ask for more merges than any machine can make.
func TestYAMLMergeBombEnds(t *testing.T) {
	var text strings.Builder
	text.WriteString("a0: &a0 {x: 1}\n")
	for i := range 15 {
		fmt.Fprintf(&text, "a%d: &a%d\n  <<: [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 30), ", "))
	}
	text.WriteString("model_list:\n- <<: *a15\n  model_name: m\n")
	done := make(chan error, 1)
	go func() {
		_, _, err := parse("c.yaml", []byte(text.String()), environ(nil))
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "too many merges") {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

// Whatever a file holds, it is a configuration that works or an error with lines.
func FuzzConfig(f *testing.F) {
	text, err := os.ReadFile("testdata/litellm.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("model_list: [{model_name: '*', litellm_params: {model: 'openai/*', api_key: k, timeout: 1s}}]")
	f.Add("x: &x {<<: [*x, *x]}\nmodel_list:\n- *x\n- model_name: a")
	f.Add("model_list:\n- model_name: a\n  litellm_params: {model: x, api_base: 'http://u:p@h:1/%2f'}")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, warnings, err := parse("c.yaml", []byte(text), environ(litellmEnv))
		for _, w := range warnings {
			if w.Line < 1 || w.Key == "" {
				t.Fatalf("warning %+v", w)
			}
		}
		if err != nil {
			var p Problem
			if !errors.As(err, &p) || p.Message == "" || strings.Contains(err.Error(), testKey) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(cfg.Deployments) == 0 {
			return
		}
		r, err := router.New(cfg)
		if err != nil {
			t.Fatalf("loads and is refused: %v", err)
		}
		defer r.Close()
		for _, d := range r.Deployments() {
			if d.Group != "" && !cfg.Matcher()(d.Group) {
				t.Fatalf("group %q does not match itself", d.Group)
			}
		}
	})
}
