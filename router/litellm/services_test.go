package litellm

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pelton/router"
	aws "pelton/router/bedrock"
	"pelton/router/openai"
	"pelton/router/protocol"
	"pelton/schema"
)

// wireCase is a request of a file's deployment, and what goes out for it.
type wireCase struct {
	Input   map[string]json.RawMessage
	Request struct {
		Method, URL string
		Headers     map[string]string
		Body        any
	}
	Mark string
}

// difference is what is sent instead of what LiteLLM was recorded to send.
type difference struct {
	why      string
	left     string            // what is said of a deployment that is left out
	url      string            // empty: as recorded
	headers  map[string]string // nil: as recorded
	asIs     bool              // the body goes as it came
	messages bool              // as in the case's own request
}

var bearer = map[string]string{"authorization": "Bearer k-test", "content-type": "application/json"}

var ollamaOpenAI = difference{why: "Ollama's OpenAI-compatible API is asked, not its own", url: "http://127.0.0.1:11434/v1/chat/completions", asIs: true}

// differs lists the recorded cases of LiteLLM that are not followed.
var differs = map[string]difference{
	"002-azure-no-version":                 {why: "a version that is no preview, with a warning", url: "https://res.openai.azure.com/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"},
	"004-azure-v1-base":                    {why: "marked: the base is that of the v1 API, whose clients send a bearer", url: "https://res.openai.azure.com/openai/v1/chat/completions", headers: bearer},
	"010-azure_ai-inference-v1":            {why: "marked: the base is that of the v1 API, whose clients send a bearer", url: "https://res.services.ai.azure.com/openai/v1/chat/completions", headers: bearer},
	"013-ollama_chat":                      ollamaOpenAI,
	"014-ollama":                           ollamaOpenAI,
	"016-ollama_chat-length":               ollamaOpenAI,
	"023-deepseek-deepseek-chat":           {why: "marked: /beta is no stable version", url: "https://api.deepseek.com/v1/chat/completions"},
	"026-perplexity-sonar":                 {why: "the header names LiteLLM as who asks", headers: bearer},
	"044-novita-deepseek-v3":               {why: "the header names LiteLLM as who asks", headers: bearer},
	"028-huggingface-deepseek-r1":          {why: "recorded is a question about the model", url: "https://router.huggingface.co/v1/chat/completions", headers: bearer, asIs: true},
	"029-huggingface-llama-3-3-70b-instru": {why: "recorded is a question about the model", url: "https://router.huggingface.co/v1/chat/completions", headers: bearer, asIs: true},
	"055-snowflake-x":                      {why: "the address has its path twice", url: "https://acct.snowflakecomputing.com/api/v2/cortex/v1/chat/completions"},
	"019-openai-o3":                        {why: "a system message stays one: the model takes it", messages: true},
	"020-xai-grok-4":                       {why: "the body goes as it came", asIs: true},
	"058-sagemaker":                        {why: "calls are signed", left: "gateway"},
	"059-sagemaker_chat":                   {why: "calls are signed", left: "gateway"},
	"061-predibase":                        {why: "LiteLLM makes no call either", left: "predibase"},
}

// What goes out for a deployment of a file: from cases of the test's own, and those
// recorded from LiteLLM where PELTON_TEST_DATA has them.
func TestWire(t *testing.T) {
	folders := []string{"testdata/services"}
	if data := os.Getenv("PELTON_TEST_DATA"); data != "" {
		folders = append(folders, filepath.Join(data, "golden", "others"))
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil || len(files) < 12 {
			t.Fatalf("%d cases in %s, %v", len(files), folder, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			t.Run(name, func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var c wireCase
				if err := json.Unmarshal(raw, &c); err != nil {
					t.Fatal(err)
				}
				other, differ := differs[name]
				if c.Mark != "" && !differ {
					t.Fatalf("marked %q, and nothing is said of it", c.Mark)
				}
				c.check(t, other)
			})
		}
	}
}

func (c *wireCase) check(t *testing.T, other difference) {
	cfg, err := c.load(t)
	if other.left != "" {
		if err == nil || !strings.Contains(err.Error(), other.left) {
			t.Errorf("loaded with %v, want an error that says %q", err, other.left)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	d := cfg.Deployments[0]
	req, body := c.encode(t, d)
	want := c.Request.Body
	if other.asIs {
		want = c.body(t, d.Model)
	}
	if other.messages {
		want.(map[string]any)["messages"] = c.body(t, d.Model)["messages"]
	}
	if sent, ok := want.(map[string]any); ok && sent["stream"] == false { // what is so anyway
		delete(sent, "stream")
	}
	if !reflect.DeepEqual(any(body), want) {
		t.Errorf("sent %v, want %v", body, want)
	}
	url, headers := c.Request.URL, c.Request.Headers
	if other.url != "" {
		url = other.url
	}
	if other.headers != nil {
		headers = other.headers
	}
	if got := req.Method + " " + req.URL.String(); got != "POST "+url {
		t.Errorf("%s, want POST %s", got, url)
	}
	got := map[string]string{}
	for name := range req.Header {
		got[strings.ToLower(name)] = req.Header.Get(name)
	}
	wanted := maps.Clone(headers)
	for _, all := range []string{"accept", "user-agent", "content-type"} { // a call has these anyway
		delete(got, all)
		delete(wanted, all)
	}
	if !maps.Equal(got, wanted) {
		t.Errorf("headers %v, want %v", got, wanted)
	}
}

// load reads a file with the case's deployment.
func (c *wireCase) load(t *testing.T) (*router.Config, error) {
	t.Helper()
	params := map[string]json.RawMessage{}
	if raw := c.Input["_litellm_params"]; raw != nil {
		if err := json.Unmarshal(raw, &params); err != nil {
			t.Fatal(err)
		}
	}
	params["model"] = c.Input["model"]
	text, err := json.Marshal(map[string]any{"model_list": []any{map[string]any{"model_name": "m", "litellm_params": params}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := parse("c.yaml", text, environ(nil))
	return cfg, err
}

// body is the case's, with the model's name.
func (c *wireCase) body(t *testing.T, model string) map[string]any {
	t.Helper()
	body := map[string]any{}
	for key, raw := range c.Input {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatal(err)
		}
		body[key] = value
	}
	delete(body, "_litellm_params")
	body["model"] = model
	return body
}

// encode has the deployment's protocol make the call.
func (c *wireCase) encode(t *testing.T, d router.Deployment) (*http.Request, map[string]any) {
	t.Helper()
	u := protocol.Upstream{BaseURL: d.BaseURL, Model: d.Model, Key: d.APIKey.Reveal(), DropParams: d.DropParams, Headers: map[string]string{}, Settings: map[string]string{"api_version": d.APIVersion}}
	for name, value := range d.Headers {
		u.Headers[name] = value.Reveal()
	}
	for name, value := range d.Settings {
		u.Settings[name] = value.Reveal()
	}
	build := openai.New
	switch {
	case d.Azure:
		build = openai.NewAzure
	case d.Protocol == mantle.protocol:
		build = aws.NewMantle
	case d.Protocol != "":
		t.Fatalf("protocol %s", d.Protocol)
	}
	p, err := build(u)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(c.body(t, d.Model))
	if err != nil {
		t.Fatal(err)
	}
	call := protocol.Call{Endpoint: schema.ChatCompletions, Model: d.Model, Body: raw}
	if err := p.Encode(t.Context(), &call); err != nil {
		t.Fatal(err)
	}
	if raw, err = io.ReadAll(call.Req.Body); err != nil {
		t.Fatal(err)
	}
	var sent map[string]any
	if err := json.Unmarshal(raw, &sent); err != nil {
		t.Fatal(err)
	}
	return call.Req, sent
}

// drop_params of the whole file leaves out what a service lacks, and is not said to
// be unused.
func TestDropParamsOfService(t *testing.T) {
	text := "model_list: [{model_name: m, litellm_params: {model: v0/m, api_key: k}}, {model_name: o, litellm_params: {model: openai/m, api_key: k}}]\n" +
		"litellm_settings: {drop_params: true}"
	cfg, warnings, err := parse("c.yaml", []byte(text), environ(nil))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if d := cfg.Deployments; !d[0].DropParams || !d[1].DropParams {
		t.Errorf("drops: %v, %v", d[0].DropParams, d[1].DropParams)
	}
}

// A prefix of the table is no part of the model's name, whatever the address; one
// that nobody knows may be.
func TestPrefixWithAddress(t *testing.T) {
	for prefix := range services {
		for _, params := range []string{"model: " + prefix + "/m", "model: m, custom_llm_provider: " + prefix} {
			text := "model_list: [{model_name: m, litellm_params: {" + params + ", api_key: k, api_base: 'https://h.example/v1'}}]"
			cfg, _, err := parse("c.yaml", []byte(text), environ(nil))
			if err != nil {
				t.Errorf("%s: %v", params, err)
				continue
			}
			if d := cfg.Deployments[0]; d.Model != "m" || !strings.HasPrefix(d.BaseURL, "https://h.example/") || d.Protocol != "" {
				t.Errorf("%s: %q at %s by %q", params, d.Model, d.BaseURL, d.Protocol)
			}
		}
	}
}

// Each variable of the table counts: the address's, and the keys' in their order.
func TestServiceVariables(t *testing.T) {
	for prefix, s := range services {
		text := []byte("model_list: [{model_name: m, litellm_params: {model: " + prefix + "/m}}]")
		env := map[string]string{}
		at := strings.Fields(s.baseEnv)
		for i, name := range slices.Backward(at) {
			env[name] = "https://h" + string(rune('0'+i)) + ".example/v1"
		}
		if s.base == "" && len(at) == 0 {
			continue
		}
		for i, name := range slices.Backward(s.keyEnvs) {
			env[name] = "key-" + name
			cfg, _, err := parse("c.yaml", text, environ(env))
			if err != nil {
				t.Errorf("%s: %v", prefix, err)
				break
			}
			d := cfg.Deployments[0]
			found := d.APIKey.Reveal() == env[s.keyEnvs[i]]
			for _, value := range d.Headers {
				found = found || value.Reveal() == env[s.keyEnvs[i]]
			}
			if !found {
				t.Errorf("%s: %s is not the key", prefix, s.keyEnvs[i])
			}
			if len(at) > 0 && !strings.HasPrefix(d.BaseURL, "https://h0.example/") {
				t.Errorf("%s: %s, not what %s says", prefix, d.BaseURL, at[0])
			}
		}
		if _, both := providers[prefix]; both {
			t.Errorf("%s is in two tables", prefix)
		}
	}
}
