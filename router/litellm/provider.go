package litellm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pelton/router"
)

// provider is a service that the router can ask, by the prefix that LiteLLM gives
// its models.
type provider struct {
	base    string   // base URL when none is configured; empty: api_base is needed
	baseEnv string   // environment variable that replaces base
	keyEnvs []string // environment variables that hold a key, the first that is set counts
	keyless bool     // a server of one's own, which may need no key
	ownPath string   // appended to a base URL without a path: what LiteLLM's native protocol does not need and OpenAI's does

	// protocol is the one that the service speaks: a key of the router's table.
	// Empty: OpenAI's. One with another may know its own address.
	protocol string

	// settings are what that protocol needs, by their keys in litellm_params: the
	// environment variables that stand for them, the first that is set counts.
	settings map[string][]string
}

// providers lists the prefixes that stand for an OpenAI-compatible service.
// Base URLs and variables are LiteLLM's, except where LiteLLM talks to a
// service in another protocol and the service offers OpenAI's as well.
var providers = map[string]provider{
	"openai":                 {base: router.DefaultBaseURL, baseEnv: "OPENAI_BASE_URL", keyEnvs: []string{"OPENAI_API_KEY"}},
	"text-completion-openai": {base: router.DefaultBaseURL, baseEnv: "OPENAI_BASE_URL", keyEnvs: []string{"OPENAI_API_KEY"}},
	"anthropic":              {protocol: "anthropic", base: "https://api.anthropic.com", baseEnv: "ANTHROPIC_API_BASE", keyEnvs: []string{"ANTHROPIC_API_KEY"}},
	"anyscale":               {base: "https://api.endpoints.anyscale.com/v1", baseEnv: "ANYSCALE_API_BASE", keyEnvs: []string{"ANYSCALE_API_KEY"}},
	"cerebras":               {base: "https://api.cerebras.ai/v1", baseEnv: "CEREBRAS_API_BASE", keyEnvs: []string{"CEREBRAS_API_KEY"}},
	"codestral":              {base: "https://codestral.mistral.ai/v1", baseEnv: "CODESTRAL_API_BASE", keyEnvs: []string{"CODESTRAL_API_KEY"}},
	"dashscope":              {base: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", baseEnv: "DASHSCOPE_API_BASE", keyEnvs: []string{"DASHSCOPE_API_KEY"}},
	"deepinfra":              {base: "https://api.deepinfra.com/v1/openai", baseEnv: "DEEPINFRA_API_BASE", keyEnvs: []string{"DEEPINFRA_API_KEY"}},
	"deepseek":               {base: "https://api.deepseek.com/v1", baseEnv: "DEEPSEEK_API_BASE", keyEnvs: []string{"DEEPSEEK_API_KEY"}},
	"fireworks_ai":           {base: "https://api.fireworks.ai/inference/v1", baseEnv: "FIREWORKS_API_BASE", keyEnvs: []string{"FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"}},
	"gemini":                 {protocol: "gemini", baseEnv: "GEMINI_API_BASE", keyEnvs: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}},
	"github":                 {base: "https://models.inference.ai.azure.com", baseEnv: "GITHUB_API_BASE", keyEnvs: []string{"GITHUB_API_KEY"}},
	"groq":                   {base: "https://api.groq.com/openai/v1", baseEnv: "GROQ_API_BASE", keyEnvs: []string{"GROQ_API_KEY"}},
	"meta_llama":             {base: "https://api.llama.com/compat/v1", baseEnv: "LLAMA_API_BASE", keyEnvs: []string{"LLAMA_API_KEY"}},
	"mistral":                {base: "https://api.mistral.ai/v1", baseEnv: "MISTRAL_API_BASE", keyEnvs: []string{"MISTRAL_API_KEY"}},
	"moonshot":               {base: "https://api.moonshot.ai/v1", baseEnv: "MOONSHOT_API_BASE", keyEnvs: []string{"MOONSHOT_API_KEY"}},
	"nebius":                 {base: "https://api.studio.nebius.ai/v1", baseEnv: "NEBIUS_API_BASE", keyEnvs: []string{"NEBIUS_API_KEY"}},
	"novita":                 {base: "https://api.novita.ai/v3/openai", baseEnv: "NOVITA_API_BASE", keyEnvs: []string{"NOVITA_API_KEY"}},
	"nvidia_nim":             {base: "https://integrate.api.nvidia.com/v1", baseEnv: "NVIDIA_NIM_API_BASE", keyEnvs: []string{"NVIDIA_NIM_API_KEY"}},
	"openrouter":             {base: "https://openrouter.ai/api/v1", baseEnv: "OPENROUTER_API_BASE", keyEnvs: []string{"OPENROUTER_API_KEY"}},
	"perplexity":             {base: "https://api.perplexity.ai", baseEnv: "PERPLEXITY_API_BASE", keyEnvs: []string{"PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"}},
	"sambanova":              {base: "https://api.sambanova.ai/v1", baseEnv: "SAMBANOVA_API_BASE", keyEnvs: []string{"SAMBANOVA_API_KEY"}},
	"together_ai":            {base: "https://api.together.xyz/v1", baseEnv: "TOGETHER_AI_API_BASE", keyEnvs: []string{"TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"}},
	"volcengine":             {base: "https://ark.cn-beijing.volces.com/api/v3", baseEnv: "VOLCENGINE_API_BASE", keyEnvs: []string{"VOLCENGINE_API_KEY"}},
	"xai":                    {base: "https://api.x.ai/v1", baseEnv: "XAI_API_BASE", keyEnvs: []string{"XAI_API_KEY"}},

	"vertex_ai":      vertex,
	"vertex_ai_beta": vertex,

	"bedrock":          bedrock,
	"bedrock_converse": bedrock, // Anthropic's models, too
	"bedrock_mantle":   mantle,

	"azure": {baseEnv: "AZURE_API_BASE", keyEnvs: []string{"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"}},

	"custom_openai": {keyless: true},
	"hosted_vllm":   {baseEnv: "HOSTED_VLLM_API_BASE", keyEnvs: []string{"HOSTED_VLLM_API_KEY"}, keyless: true},
	"litellm_proxy": {baseEnv: "LITELLM_PROXY_API_BASE", keyEnvs: []string{"LITELLM_PROXY_API_KEY"}, keyless: true},
	"llamafile":     {base: "http://127.0.0.1:8080/v1", baseEnv: "LLAMAFILE_API_BASE", keyless: true},
	"lm_studio":     {base: "http://127.0.0.1:1234/v1", baseEnv: "LM_STUDIO_API_BASE", keyEnvs: []string{"LM_STUDIO_API_KEY"}, keyless: true},
	"ollama":        {base: "http://127.0.0.1:11434", baseEnv: "OLLAMA_API_BASE", keyless: true, ownPath: "/v1"},
	"ollama_chat":   {base: "http://127.0.0.1:11434", baseEnv: "OLLAMA_API_BASE", keyless: true, ownPath: "/v1"},
	"openai_like":   {baseEnv: "OPENAI_LIKE_API_BASE", keyEnvs: []string{"OPENAI_LIKE_API_KEY"}, keyless: true},
}

// vertex is Vertex AI: LiteLLM has two names for each of its settings. Without
// credentials Google's own search for them counts.
var vertex = provider{protocol: "vertex_ai", keyless: true, settings: map[string][]string{
	"vertex_project": {"VERTEXAI_PROJECT"}, "vertex_ai_project": nil,
	"vertex_location": {"VERTEXAI_LOCATION", "VERTEX_LOCATION"}, "vertex_ai_location": nil,
	"vertex_credentials": {"VERTEXAI_CREDENTIALS"}, "vertex_ai_credentials": nil,
}}

// bedrock is Amazon Bedrock. Without a key of Bedrock's requests are signed, by the
// keys given or by what AWS's own search finds.
var bedrock = provider{
	protocol: "bedrock", keyless: true, baseEnv: "AWS_BEDROCK_RUNTIME_ENDPOINT", keyEnvs: []string{"AWS_BEARER_TOKEN_BEDROCK"},
	settings: map[string][]string{
		"aws_region_name":   {"AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"},
		"aws_access_key_id": nil, "aws_secret_access_key": nil, "aws_session_token": nil, "aws_profile_name": nil,
		"aws_role_name": nil, "aws_session_name": nil, "aws_external_id": nil,
		"aws_bedrock_runtime_endpoint": nil, "model_id": nil,
	},
}

// mantle is Bedrock at the address where it speaks OpenAI's protocol, and
// Anthropic's for the models of theirs.
var mantle = provider{
	protocol: "bedrock_mantle", baseEnv: "BEDROCK_MANTLE_API_BASE", keyEnvs: []string{"BEDROCK_MANTLE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"},
	settings: map[string][]string{"aws_region_name": {"BEDROCK_MANTLE_REGION", "AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"}},
}

// claudes lists the services that have models of Anthropic's among others, and
// speak Anthropic's protocol for these.
var claudes = map[string]provider{
	"azure_ai":       {protocol: "anthropic_azure", baseEnv: "AZURE_AI_API_BASE", keyEnvs: []string{"AZURE_AI_API_KEY"}},
	"bedrock_mantle": {protocol: "anthropic_mantle", keyless: true, baseEnv: mantle.baseEnv, keyEnvs: mantle.keyEnvs, settings: bedrock.settings},
	"bedrock":        {protocol: "anthropic_bedrock", keyless: true, baseEnv: bedrock.baseEnv, keyEnvs: bedrock.keyEnvs, settings: bedrock.settings},
	"vertex_ai":      {protocol: "anthropic_vertex", keyless: true, settings: vertex.settings},
	"vertex_ai_beta": {protocol: "anthropic_vertex", keyless: true, settings: vertex.settings},
}

// claude reports whether a model behind a prefix is one of Anthropic's, which
// that service serves by Anthropic's protocol, and its name there.
func claude(prefix, model string) (name string, ok bool) {
	_, ok = claudes[prefix]
	return model, ok && strings.Contains(model, "claude")
}

// onBedrock reads what stands behind bedrock/: the way to the model, where one is
// named, and the model.
func onBedrock(model string) (prefix, name string, err error) {
	way, rest, _ := strings.Cut(model, "/")
	switch way {
	case "converse":
		prefix, name = "bedrock_converse", rest
	case "mantle":
		prefix, name = "bedrock_mantle", rest
	case "invoke":
		prefix, name = "bedrock", rest
	case "agent", "agentcore", "async_invoke":
		return "", "", fmt.Errorf("Bedrock is asked for chat completions of models alone, not by %q", way)
	default:
		prefix, name = "bedrock", model
	}
	for _, kind := range []string{"embed", "rerank", "stability.", "nova-canvas", "nova-reel", "nova-sonic", "titan-image"} {
		if strings.Contains(name, kind) {
			return "", "", errors.New("Bedrock is asked for chat completions alone, which this model does not give")
		}
	}
	return prefix, name, nil
}

// serviceOf is how the model behind a prefix is served; a provider without
// anything where the prefix is none.
func serviceOf(prefix, model string) provider {
	if _, ok := claude(prefix, model); ok {
		return claudes[prefix]
	}
	return providers[prefix]
}

// speaksOpenAI reports whether an address says that OpenAI's protocol is spoken
// there, whatever the service's own is: Google's ends in /v1beta/openai.
func speaksOpenAI(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	segments := strings.Split(rest, "/")[1:]
	return slices.Contains(segments, "openai") || slices.Contains(segments, "compat")
}

// foreign lists prefixes of services that speak a protocol of their own, with
// what to do about it. An api_base does not make them OpenAI-compatible.
var foreign = map[string]string{
	"azure_ai":  `write "openai/MODEL" with the resource's OpenAI-compatible api_base, which ends in /openai/v1, instead`,
	"cohere":    `write "openai/MODEL" with api_base "https://api.cohere.ai/compatibility/v1" instead`,
	"replicate": gateway,
	"sagemaker": gateway,
	"watsonx":   gateway,
}

const gateway = "put a gateway that speaks OpenAI's protocol in front of it"

// own reports whether a service's own protocol is not in the way after all: it
// has been given an address that speaks OpenAI's.
func own(prefix, base string) bool {
	return prefix == "azure_ai" && isV1(base)
}

// isV1 reports whether an address is that of Azure's OpenAI-compatible API.
func isV1(base string) bool {
	return strings.HasSuffix(strings.TrimRight(base, "/"), "/openai/v1")
}

// target is where a configured model lies: its service, and its name there.
type target struct {
	provider string // a key of providers, or empty for a server known by its address only
	model    string
}

// locate reads a litellm_params.model. custom is custom_llm_provider, base the
// configured address, if any. The error says what to write instead.
func locate(model, custom, base string) (target, error) {
	hasBase := base != ""
	prefix, rest, split := strings.Cut(model, "/")
	if custom != "" {
		if split && prefix == custom {
			model = rest
		}
		prefix, rest, split = custom, model, true
	}
	if prefix == "bedrock" && split {
		var err error
		if prefix, rest, err = onBedrock(rest); err != nil {
			return target{}, err
		}
	}
	if name, ok := claude(prefix, rest); ok && split && !own(prefix, base) {
		return target{prefix, name}, nil
	}
	if advice, ok := foreign[prefix]; ok && split && !own(prefix, base) {
		return target{}, fmt.Errorf("%q speaks a protocol of its own, not OpenAI's: %s", prefix, advice)
	}
	if (prefix == "azure" || own(prefix, base)) && isV1(base) && split {
		return target{"openai", rest}, nil
	}
	if _, ok := providers[prefix]; ok && split {
		if rest == "" {
			return target{}, fmt.Errorf("no model behind %q", prefix+"/")
		}
		return target{prefix, rest}, nil
	}
	switch {
	case hasBase:
		return target{"", model}, nil // the slash, if any, is part of the name there
	case split:
		return target{}, fmt.Errorf("unknown provider %q: set api_base to the address of its OpenAI-compatible endpoint", prefix)
	case strings.HasPrefix(model, "claude"):
		return target{"anthropic", model}, nil
	case strings.HasPrefix(model, "gemini"):
		return target{"gemini", model}, nil
	default:
		return target{"openai", model}, nil
	}
}
