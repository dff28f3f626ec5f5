package litellm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// provider is a service that the router can ask, by the prefix that LiteLLM gives
// its models.
type provider struct {
	base    string   // base URL when none is configured; empty: api_base is needed
	baseEnv string   // environment variables that replace base, with blanks between, the first that is set counts
	keyEnvs []string // environment variables that hold a key, the first that is set counts
	keyless bool     // a server of one's own, which may need no key
	ownPath string   // appended to a base URL without a path

	// place says where a model lies, and its name there. nil: at base, by its name.
	place func(base, model string) (string, string)

	// auth makes of a key what goes as a bearer, if anything, and headers. nil: a bearer.
	auth func(key string) (bearer string, headers map[string]string)

	renames string // a parameter's name and the service's for it, with a blank between
	lacks   string // parameters that the service refuses, with blanks between: drop_params leaves them out

	note string // what is particular to it, for people, in Markdown

	// protocol is the one that the service speaks: a key of the router's table.
	// Empty: OpenAI's. One with another may know its own address.
	protocol string

	// settings are what that protocol needs, by their keys in litellm_params: the
	// environment variables that stand for them, the first that is set counts.
	settings map[string][]string
}

// providers lists the prefixes of services with a protocol of their own. Those
// that speak OpenAI's are the [services].
var providers = map[string]provider{
	"anthropic": {protocol: "anthropic", base: "https://api.anthropic.com", baseEnv: "ANTHROPIC_API_BASE", keyEnvs: []string{"ANTHROPIC_API_KEY"}},
	"gemini":    {protocol: "gemini", baseEnv: "GEMINI_API_BASE", keyEnvs: []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}},

	"cohere":      cohere,
	"cohere_chat": cohere,

	"vertex_ai":      vertex,
	"vertex_ai_beta": vertex,

	"bedrock":          bedrock,
	"bedrock_converse": bedrock, // Anthropic's models, too
	"bedrock_mantle":   mantle,

	"azure": {baseEnv: "AZURE_API_BASE", keyEnvs: []string{"AZURE_API_KEY", "AZURE_OPENAI_API_KEY"}},
}

// cohere is Cohere. A version before the model's name is LiteLLM's; the second is
// spoken.
var cohere = provider{
	protocol: "cohere", base: "https://api.cohere.com", baseEnv: "COHERE_API_BASE", keyEnvs: []string{"COHERE_API_KEY", "CO_API_KEY"},
	place: func(base, model string) (string, string) {
		return base, strings.TrimPrefix(strings.TrimPrefix(model, "v1/"), "v2/")
	},
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
		return "", "", fmt.Errorf("chat completions of models are all that Bedrock is asked for, and %q is something else", way)
	default:
		prefix, name = "bedrock", model
	}
	for _, kind := range []string{"embed", "rerank", "stability.", "nova-canvas", "nova-reel", "nova-sonic", "titan-image"} {
		if strings.Contains(name, kind) {
			return "", "", errors.New("chat completions are all that Bedrock is asked for, and this model gives none")
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
	if p, ok := services[prefix]; ok {
		return p
	}
	return providers[prefix]
}

// known reports whether a prefix stands for a service.
func known(prefix string) bool {
	_, compatible := services[prefix]
	_, native := providers[prefix]
	return compatible || native
}

// speaksOpenAI reports whether an address says that OpenAI's protocol is spoken
// there, whatever the service's own is: Google's ends in /v1beta/openai, Cohere's in
// /compatibility/v1.
func speaksOpenAI(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	segments := strings.Split(rest, "/")[1:]
	return slices.ContainsFunc(segments, func(s string) bool { return s == "openai" || s == "compat" || s == "compatibility" })
}

// foreign lists prefixes of services that speak a protocol of their own, with
// what to do about it. An api_base does not make them OpenAI-compatible.
var foreign = map[string]string{
	"replicate": gateway,
	"sagemaker": gateway,
	"watsonx":   gateway,

	"chatgpt":        gateway,
	"cloudflare":     `write "openai/MODEL" with api_base "https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1" instead`,
	"gigachat":       `write "openai/MODEL" with api_base "https://gigachat.devices.sberbank.ru/api/v1" and a token_command that prints its tokens instead`,
	"github_copilot": gateway,
	"nlp_cloud":      gateway,
	"oci":            gateway,
	"petals":         gateway,
	"predibase":      `write "openai/MODEL" with api_base "https://serving.app.predibase.com/TENANT/deployments/v2/llms/MODEL/v1" instead`,
	"sagemaker_chat": gateway,
	"sagemaker_nova": gateway,
	"triton":         gateway,
	"vllm":           `write "hosted_vllm/MODEL" with the server's api_base instead`,
	"watsonx_text":   gateway,
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
