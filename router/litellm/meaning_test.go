package litellm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pelton/router"
	"pelton/schema"
)

// upstreams are servers at paths of one address, each with what it answers: of a
// list of statuses the next, the last one again and again. Without one it is 200.
type upstreams struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string][]string
	calls   []upstreamCall
}

type upstreamCall struct {
	name, path string
	header     http.Header
	body       map[string]any
}

// The answers besides statuses.
var scripted = map[string]string{
	"too long":  `{"error":{"code":"context_length_exceeded","message":"too long"}}`,
	"kept back": `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}]}`,
	"filtered":  `{"error":{"code":"content_policy_violation","message":"no"}}`,
}

func newUpstreams(t *testing.T, answers map[string][]string) *upstreams {
	u := &upstreams{answers: answers}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, path, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
		raw, _ := io.ReadAll(req.Body)
		body := map[string]any{}
		_ = json.Unmarshal(raw, &body)
		u.mu.Lock()
		u.calls = append(u.calls, upstreamCall{name, "/" + path, req.Header, body})
		answer := "200"
		if list := u.answers[name]; len(list) > 0 {
			if answer = list[0]; len(list) > 1 {
				u.answers[name] = list[1:]
			}
		}
		u.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if text, ok := scripted[answer]; ok {
			if answer != "kept back" {
				w.WriteHeader(400)
			}
			_, _ = io.WriteString(w, text)
			return
		}
		var status int
		_, _ = fmt.Sscan(answer, &status)
		w.WriteHeader(status)
		switch {
		case status != 200:
			_, _ = io.WriteString(w, `{"error":{"message":"failed as told"}}`)
		case strings.HasSuffix(path, "/embeddings"):
			_, _ = io.WriteString(w, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]}],"usage":{"prompt_tokens":1,"total_tokens":1}}`)
		default:
			_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}`)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

// load makes a router of config.yaml and files beside it, in which @a, @b and @c are
// the addresses of the upstreams of that name.
func (u *upstreams) load(t *testing.T, text string, env, beside map[string]string) (*router.Router, string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"config.yaml": text}
	maps.Copy(files, beside)
	for name, content := range files {
		content = strings.NewReplacer("@a", u.URL+"/a/v1", "@b", u.URL+"/b/v1", "@c", u.URL+"/c/v1").Replace(content)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := Load(filepath.Join(dir, "config.yaml"), environ(env))
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	var said strings.Builder
	for _, w := range warnings {
		fmt.Fprintln(&said, w)
	}
	return r, said.String()
}

func (u *upstreams) went() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var names []string
	for _, c := range u.calls {
		names = append(names, c.name)
	}
	return strings.Join(names, " ")
}

// gh is two groups, g at a and h at b; more is what follows in the file.
func gh(more string) string {
	return "model_list:\n" +
		"  - {model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k}, model_info: {id: one}}\n" +
		"  - {model_name: h, litellm_params: {model: openai/m, api_base: '@b', api_key: k}, model_info: {id: two}}\n" + more
}

// g1 is a group of one deployment at a with further parameters.
func g1(params string) string {
	return "model_list:\n  - {model_name: g, litellm_params: {" + params + "}}\n"
}

const hi = `"messages":[{"role":"user","content":"hi"}]`

// meaning is a configuration, what is asked of it, and what comes of that, which is
// what LiteLLM 1.110 does with the same file unless the name says otherwise.
type meaning struct {
	name    string
	config  string
	beside  map[string]string
	env     map[string]string
	answers map[string][]string

	endpoint schema.Endpoint
	body     string // empty: a chat with g
	tags     []string
	times    int // how often it is asked; 0: once

	went    string       // the upstreams called, in order
	class   schema.Class // of the last outcome; empty: it succeeds
	path    string       // of the last call
	sent    string       // the body of the last call, without messages; empty: anything
	bearer  string       // of the last call; empty: anything
	warning string       // in what is said at the start
	says    string       // in the last outcome's error
}

func TestMeaning(t *testing.T) {
	for _, m := range slices.Concat(groupMeanings, parameterMeanings) {
		t.Run(m.name, m.test)
	}
}

func (m meaning) test(t *testing.T) {
	u := newUpstreams(t, m.answers)
	r, warnings := u.load(t, m.config, m.env, m.beside)
	body := cmp.Or(m.body, `{"model":"g",`+hi+`}`)
	var out router.Outcome
	for range max(m.times, 1) {
		out = r.Do(t.Context(), router.Request{Endpoint: m.endpoint, Body: []byte(body), Tags: m.tags, Timeout: time.Minute})
	}
	if u.went() != m.went {
		t.Errorf("went to %q, want %q: %v", u.went(), m.went, out.Error)
	}
	if m.class == "" && out.Error != nil || m.class != "" && (out.Error == nil || out.Error.Class != m.class || !strings.Contains(out.Error.Message, m.says)) {
		t.Errorf("%v, want %q and %q", out.Error, m.class, m.says)
	}
	if m.warning == "" && warnings != "" || !strings.Contains(warnings, m.warning) {
		t.Errorf("warned of %q, want %q", warnings, m.warning)
	}
	if len(u.calls) == 0 {
		return
	}
	last := u.calls[len(u.calls)-1]
	delete(last.body, "messages")
	sent, _ := json.Marshal(last.body)
	if m.path != "" && last.path != m.path || m.sent != "" && string(sent) != m.sent {
		t.Errorf("POST %s %s, want %s %s", last.path, sent, m.path, m.sent)
	}
	if got := strings.TrimPrefix(last.header.Get("Authorization"), "Bearer "); m.bearer != "" && got != strings.TrimSpace(m.bearer) {
		t.Errorf("the key is %q, want %q", got, m.bearer)
	}
}

// What decides where a request goes.
var groupMeanings = []meaning{
	{name: "a 400 goes to the fallback", config: gh("router_settings: {fallbacks: [{g: [h]}]}"), answers: map[string][]string{"a": {"400"}}, went: "a b"},
	{name: "a 400 without one", config: gh(""), answers: map[string][]string{"a": {"400"}}, went: "a", class: schema.ClassRequestFatal},
	{name: "too long, plain fallbacks", config: gh("router_settings: {fallbacks: [{g: [h]}]}"), answers: map[string][]string{"a": {"too long"}}, went: "a b"},
	{name: "too long, default fallbacks", config: gh("litellm_settings: {default_fallbacks: [h]}"), answers: map[string][]string{"a": {"too long"}}, went: "a b"},
	{name: "content policy, plain fallbacks", config: gh("router_settings: {fallbacks: [{g: [h]}]}"), answers: map[string][]string{"a": {"filtered"}}, went: "a b"},
	{name: "content policy, a list of its own", config: gh("router_settings: {content_policy_fallbacks: [{g: [h]}]}"), answers: map[string][]string{"a": {"filtered"}}, went: "a b"},
	{name: "an answer that is kept back", config: gh("router_settings: {content_policy_fallbacks: [{g: [h]}]}"), answers: map[string][]string{"a": {"kept back"}}, went: "a b"},
	{name: "an unknown model, default fallbacks", config: gh("litellm_settings: {default_fallbacks: [h]}"), body: `{"model":"nobody",` + hi + `}`, went: "b"},
	{name: "an unknown model", config: gh(""), body: `{"model":"nobody",` + hi + `}`, class: schema.ClassRequestFatal, says: "no model group"},
	{name: "a fallback to an id", config: gh("router_settings: {num_retries: 1, fallbacks: [{g: [two]}]}"), answers: map[string][]string{"a": {"500"}}, went: "a a b"},
	{name: "a request for an id", config: gh(""), body: `{"model":"two",` + hi + `}`, went: "b"},
	{
		name: "a group whose variable is unset costs itself", config: gh("  - {model_name: x, litellm_params: {model: openai/m, api_key: os.environ/UNSET}}"),
		went: "a", warning: "config.yaml:4: model_list[2]: the deployment is left out: litellm_params.api_key: the environment variable UNSET is not set",
	},
	{
		name: "and is told to who asks", config: gh("  - {model_name: x, litellm_params: {model: openai/m, api_key: os.environ/UNSET}}"), body: `{"model":"x",` + hi + `}`,
		class: schema.ClassUpstreamFatal, says: "the environment variable UNSET is not set", warning: "left out",
	},
	{
		name: "and has its fallbacks", config: gh("  - {model_name: x, litellm_params: {model: petals/m}}\nrouter_settings: {fallbacks: [{x: [h]}]}"), body: `{"model":"x",` + hi + `}`,
		went: "b", warning: "left out",
	},
	{
		name: "included files", config: "include: [models.yaml, more.yaml]\nmodel_list: []\nrouter_settings: {num_retries: 7}\n",
		beside: map[string]string{
			"models.yaml": "model_list: [{model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k}}]\nrouter_settings: {num_retries: 0, fallbacks: [{g: [h]}]}\n",
			"more.yaml":   "model_list: [{model_name: h, litellm_params: {model: openai/m, api_base: '@b', api_key: k}}]\n",
		},
		answers: map[string][]string{"a": {"500"}}, went: "a b",
	},
	{name: "two wildcards", config: "model_list: [{model_name: 'a/*/b-*', litellm_params: {model: 'openai/x-*-*', api_base: '@a', api_key: k}}]", body: `{"model":"a/1/b-2",` + hi + `}`, went: "a", sent: `{"model":"x-1-2"}`},
	{name: "a key twice", config: "router_settings: {num_retries: 5}\n" + gh("router_settings: {num_retries: 0}"), answers: map[string][]string{"a": {"500"}}, went: "a", class: schema.ClassTransient, warning: "router_settings: given in line 1 too; the last one counts"},
	{name: "no limit of 0", config: g1("model: openai/m, api_base: '@a', api_key: k, rpm: 0, tpm: 0"), times: 2, went: "a a", warning: "0 is no limit here"},
	{name: "a small rpm comes at once", config: g1("model: openai/m, api_base: '@a', api_key: k, rpm: 9"), times: 9, went: "a a a a a a a a a"},
	{
		name: "limits spill over to a fallback", config: "model_list:\n  - {model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k, rpm: 1}}\n" +
			"  - {model_name: h, litellm_params: {model: openai/m, api_base: '@b', api_key: k}}\nrouter_settings: {fallbacks: [{g: [h]}]}\n",
		times: 4, went: "a b b b",
	},
	{
		name: "tags without filtering", config: "model_list:\n  - {model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k, tags: [team-a], weight: 1}}\n" +
			"  - {model_name: g, litellm_params: {model: openai/m, api_base: '@b', api_key: k, tags: [default], weight: 0}}\n",
		went: "a", warning: "not used without router_settings.enable_tag_filtering",
	},
	{
		name: "all tags", config: "model_list:\n  - {model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k, tags: [paid], weight: 1}}\n" +
			"  - {model_name: g, litellm_params: {model: openai/m, api_base: '@b', api_key: k, tags: [paid, eu, fast], weight: 0}}\n" +
			"router_settings: {enable_tag_filtering: true, tag_filtering_match_any: false}\n",
		tags: []string{"paid", "eu"}, times: 3, went: "b b b",
	},
	{
		name: "limits beside litellm_params are weights (and limits here)", config: "model_list:\n  - {model_name: g, rpm: 900000, litellm_params: {model: openai/m, api_base: '@a', api_key: k}}\n" +
			"  - {model_name: g, rpm: 1, litellm_params: {model: openai/m, api_base: '@b', api_key: k}}\n",
		times: 3, went: "a a a",
	},
}

const priced = "input_cost_per_token: 1.0e-3, output_cost_per_token: 1.0e-3" // a call of 20 tokens costs 0.02

// What a request is sent as, and whether it is sent at all.
var parameterMeanings = []meaning{
	{name: "null is nothing", config: g1("model: openai/m, api_key: k, base_url: '@a', api_base: null, timeout: null"), went: "a", sent: `{"model":"m"}`},
	{
		name: "default_litellm_params", config: g1("model: openai/m, api_base: '@a', api_key: k, temperature: 0.5") + "router_settings: {default_litellm_params: {temperature: 1, top_p: 0.9}}",
		went: "a", sent: `{"model":"m","temperature":0.5,"top_p":0.9}`,
	},
	{
		name: "parameters that nobody knows", config: g1("model: openai/m, api_base: '@a', api_key: k, my_param: [1], merge_reasoning_content_in_choices: true"),
		went: "a", sent: `{"model":"m","my_param":[1]}`, warning: "my_param: is no parameter that Pelton knows: it is sent",
	},
	{name: "what looks like a secret is not sent", config: g1("model: openai/m, api_base: '@a', api_key: k, other_api_key: s"), went: "a", sent: `{"model":"m"}`, warning: "other_api_key: not used"},
	{
		name: "dimensions", config: g1("model: openai/m, api_base: '@a', api_key: k, dimensions: 256, temperature: 1"), endpoint: schema.Embeddings, body: `{"model":"g","input":"x"}`,
		went: "a", path: "/v1/embeddings", sent: `{"dimensions":256,"input":"x","model":"m"}`,
	},
	{name: "dimensions are not for chats", config: g1("model: openai/m, api_base: '@a', api_key: k, dimensions: 256"), went: "a", sent: `{"model":"m"}`},
	{
		name: "drop_params, o-series", config: g1("model: openai/o3-mini, api_base: '@a', api_key: k") + "litellm_settings: {drop_params: true}", body: `{"model":"g",` + hi + `,"temperature":0.2,"max_tokens":5,"top_p":1,"seed":1}`,
		went: "a", sent: `{"max_completion_tokens":5,"model":"o3-mini","seed":1}`,
	},
	{
		name: "max_tokens of the o-series, nothing dropped", config: g1("model: openai/o3-mini, api_base: '@a', api_key: k"), body: `{"model":"g",` + hi + `,"temperature":1,"max_tokens":5}`,
		went: "a", sent: `{"max_completion_tokens":5,"model":"o3-mini","temperature":1}`,
	},
	{
		name: "additional_drop_params", config: g1("model: openai/m, api_base: '@a', api_key: k, additional_drop_params: [seed, 'tools[*].function.strict']"),
		body: `{"model":"g",` + hi + `,"seed":1,"top_p":0.5,"tools":[{"type":"function","function":{"name":"f","strict":true}}]}`,
		went: "a", sent: `{"model":"m","tools":[{"function":{"name":"f"},"type":"function"}],"top_p":0.5}`,
	},
	{name: "mock_response", config: g1("model: openai/m, api_base: '@a', mock_response: hello")},
	{name: "mock_response, whatever the provider", config: g1("model: anthropic/claude-3-5-sonnet, mock_response: hello")},
	{name: "mock_response, a stream", config: g1("model: openai/m, mock_response: hello"), body: `{"model":"g","stream":true,` + hi + `}`},
	{name: "mock_response, an error", config: g1("model: openai/m, mock_response: litellm.RateLimitError") + "router_settings: {num_retries: 0}", class: schema.ClassRateLimited},
	{
		name: "max_budget", config: g1("model: openai/m, api_base: '@a', api_key: k, max_budget: 0.01, budget_duration: 1d, " + priced), times: 4,
		went: "a", class: schema.ClassUpstreamFatal, says: "the budget of deployment g-1, 0.01 USD, is spent until ",
	},
	{
		name: "max_budget, with a fallback", config: "model_list:\n  - {model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k, max_budget: 0.03, " + priced + "}}\n" +
			"  - {model_name: h, litellm_params: {model: openai/m, api_base: '@b', api_key: k}}\nrouter_settings: {fallbacks: [{g: [h]}]}\n",
		times: 4, went: "a a b b",
	},
	{
		name: "provider_budget_config", config: g1("model: openai/m, api_base: '@a', api_key: k, "+priced) + "router_settings: {provider_budget_config: {openai: {budget_limit: 0.03, time_period: 1d}, azure: {budget_limit: 0, time_period: 1d}}}", times: 4,
		went: "a a", class: schema.ClassUpstreamFatal, says: "the budget of provider openai",
	},
	{
		name: "max_budget of everything", config: g1("model: openai/m, api_base: '@a', api_key: k, "+priced) + "litellm_settings: {max_budget: 0.01, budget_duration: 30d}", times: 3,
		went: "a", class: schema.ClassUpstreamFatal, says: "the budget of all deployments",
	},
	{name: "openai/responses", config: g1("model: openai/responses/m, api_base: '@a', api_key: k"), endpoint: schema.Responses, body: `{"model":"g","input":"x"}`, answers: map[string][]string{"a": {"400"}}, went: "a", path: "/v1/responses", sent: `{"input":"x","model":"m"}`, class: schema.ClassRequestFatal, warning: "alone: other requests are not translated"},
	{name: "openai/responses, a chat (which LiteLLM translates)", config: g1("model: openai/responses/m, api_base: '@a', api_key: k"), class: schema.ClassRequestFatal, says: `no deployment of "g" serves`, warning: "alone: other requests are not translated"},
	{name: "text-completion-openai, a chat (which LiteLLM translates)", config: g1("model: text-completion-openai/m, api_base: '@a', api_key: k"), class: schema.ClassRequestFatal, says: `no deployment of "g" serves`, warning: "alone: other requests are not translated"},
	{name: "text-completion-openai", config: g1("model: text-completion-openai/m, api_base: '@a', api_key: k"), endpoint: schema.Completions, body: `{"model":"g","prompt":"x"}`, answers: map[string][]string{"a": {"400"}}, went: "a", path: "/v1/completions", class: schema.ClassRequestFatal, warning: "alone: other requests are not translated"},
	{name: "a gateway of Anthropic's protocol", config: g1("model: anthropic/m, api_base: '@a/anthropic', api_key: k"), answers: map[string][]string{"a": {"400"}}, went: "a", path: "/v1/anthropic/v1/messages", class: schema.ClassRequestFatal},
	{
		name: "a fallback with parameters", config: gh("router_settings: {fallbacks: [{g: [{model: h, temperature: 0.1, top_p: 1}]}]}"), answers: map[string][]string{"a": {"400"}}, body: `{"model":"g",` + hi + `,"temperature":1}`,
		went: "a b", sent: `{"model":"m","temperature":0.1,"top_p":1}`,
	},
	{
		name: "keywords in a body", config: gh("router_settings: {num_retries: 5}"), answers: map[string][]string{"a": {"500"}},
		body: `{"model":"g",` + hi + `,"num_retries":1,"timeout":30,"fallbacks":["h"],"cache":{"no-cache":true},"metadata":{"tags":["x"]},"seed":1}`,
		went: "a a b", sent: `{"model":"m","seed":1}`,
	},
	{
		name: "fallbacks by group in a body", config: gh("router_settings: {num_retries: 0}"), answers: map[string][]string{"a": {"500"}},
		body: `{"model":"g",` + hi + `,"fallbacks":[{"g":[{"model":"h","seed":7}]}],"metadata":{"tags":[],"user":"u"}}`,
		went: "a b", sent: `{"metadata":{"user":"u"},"model":"m","seed":7}`,
	},
	{
		name: "tags in a body", config: "model_list:\n  - {model_name: g, litellm_params: {model: openai/m, api_base: '@a', api_key: k, tags: [paid]}}\n" +
			"  - {model_name: g, litellm_params: {model: openai/m, api_base: '@b', api_key: k, tags: [default]}}\nrouter_settings: {enable_tag_filtering: true}\n",
		body: `{"model":"g",` + hi + `,"metadata":{"tags":["paid"]}}`, times: 3, went: "a a a", sent: `{"model":"m"}`,
	},
	{name: "guardrails in a body", config: gh(""), body: `{"model":"g",` + hi + `,"guardrails":["pii"]}`, class: schema.ClassRequestFatal, says: "guardrails: is not carried out"},
	{name: "a key in a body", config: gh(""), body: `{"model":"g",` + hi + `,"api_key":"sk-other"}`, class: schema.ClassRequestFatal, says: "api_key: is not carried out"},
	{
		name: "OPENAI_API_KEY and an address (LiteLLM sends it there)", config: g1("model: openai/m, api_base: '@a'"), env: map[string]string{"OPENAI_API_KEY": testKey},
		went: "a", bearer: " ", warning: "OPENAI_API_KEY is set and not sent, for the file names the address",
	},
}
