package litellm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pelton/router"
)

// services lists the prefixes that stand for a service which speaks OpenAI's
// protocol. Base URLs and variables are LiteLLM's, except where LiteLLM talks to a
// service in another protocol and the service offers OpenAI's as well.
var services = map[string]provider{
	"openai":                 openAI,
	"text-completion-openai": openAI,
	"aiohttp_openai":         openAI,

	"abliteration":      at("https://api.abliteration.ai/v1", "", "ABLITERATION_API_KEY"),
	"ai21":              at("https://api.ai21.com/studio/v1", "AI21_API_BASE", "AI21_API_KEY"),
	"ai21_chat":         at("https://api.ai21.com/studio/v1", "AI21_API_BASE", "AI21_API_KEY"),
	"aiand":             at("https://api.aiand.com/v1", "AIAND_API_BASE", "AIAND_API_KEY"),
	"aihubmix":          at("https://aihubmix.com/v1", "AIHUBMIX_API_BASE", "AIHUBMIX_API_KEY"),
	"aiml":              at("https://api.aimlapi.com/v1", "AIML_API_BASE", "AIML_API_KEY"),
	"amazon_nova":       at("https://api.nova.amazon.com/v1", "AMAZON_NOVA_API_BASE", "AMAZON_NOVA_API_KEY"),
	"anyscale":          at("https://api.endpoints.anyscale.com/v1", "ANYSCALE_API_BASE", "ANYSCALE_API_KEY"),
	"apertis":           at("https://api.stima.tech/v1", "", "STIMA_API_KEY").renaming(shortName),
	"assemblyai":        at("https://llm-gateway.assemblyai.com/v1", "", "ASSEMBLYAI_API_KEY"),
	"bigmodel":          at("https://open.bigmodel.cn/api/paas/v4", "BIGMODEL_API_BASE", "BIGMODEL_API_KEY"),
	"cerebras":          at("https://api.cerebras.ai/v1", "CEREBRAS_API_BASE", "CEREBRAS_API_KEY").renaming(shortName),
	"charity_engine":    at("https://api.charityengine.services/remotejobs/v2/inference", "", "CHARITY_ENGINE_API_KEY").renaming(shortName),
	"chutes":            at("https://llm.chutes.ai/v1", "", "CHUTES_API_KEY").renaming(shortName),
	"clf_ai_gateway":    at("https://api.clfaigateway.dev/v1", "CLF_AI_GATEWAY_API_BASE", "CLF_AI_GATEWAY_API_KEY"),
	"codestral":         at("https://codestral.mistral.ai/v1", "CODESTRAL_API_BASE", "CODESTRAL_API_KEY"),
	"cognition":         at("https://api.cognition.ai/v1", "COGNITION_API_BASE", "COGNITION_API_KEY"),
	"cometapi":          at("https://api.cometapi.com/v1", "COMETAPI_API_BASE", "COMETAPI_KEY", "COMETAPI_API_KEY"),
	"compactifai":       at("https://api.compactif.ai/v1", "", "COMPACTIFAI_API_KEY"),
	"coralbricks":       at("https://inference.coralbricks.ai/v1", "CORALBRICKS_API_BASE", "CORALBRICKS_API_KEY"),
	"cortecs":           at("https://api.cortecs.ai/v1", "CORTECS_API_BASE", "CORTECS_API_KEY"),
	"crusoe":            at("https://api.inference.crusoecloud.com/v1", "CRUSOE_API_BASE", "CRUSOE_API_KEY").renaming(shortName),
	"darkbloom":         at("https://api.darkbloom.dev/v1", "DARKBLOOM_API_BASE", "DARKBLOOM_API_KEY").renaming(shortName),
	"dashscope":         at("https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_BASE", "DASHSCOPE_API_KEY"),
	"deepinfra":         at("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_BASE", "DEEPINFRA_API_KEY").renaming(shortName),
	"deepseek":          at("https://api.deepseek.com/v1", "DEEPSEEK_API_BASE", "DEEPSEEK_API_KEY"),
	"edenai":            at("https://api.edenai.run/v3", "EDENAI_API_BASE", "EDENAI_API_KEY"),
	"empiriolabs":       at("https://api.empiriolabs.ai/v1", "EMPIRIOLABS_API_BASE", "EMPIRIOLABS_API_KEY").renaming(shortName),
	"empower":           at("https://app.empower.dev/api/v1", "EMPOWER_API_BASE", "EMPOWER_API_KEY"),
	"featherless_ai":    at("https://api.featherless.ai/v1", "FEATHERLESS_AI_API_BASE FEATHERLESS_API_BASE", "FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"),
	"fireworks_ai":      at("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_BASE", "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
	"friendliai":        at("https://api.friendli.ai/serverless/v1", "FRIENDLI_API_BASE", "FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"),
	"galadriel":         at("https://api.galadriel.com/v1", "GALADRIEL_API_BASE", "GALADRIEL_API_KEY"),
	"github":            at("https://models.inference.ai.azure.com", "GITHUB_API_BASE", "GITHUB_API_KEY"),
	"gmi":               at("https://api.gmi-serving.com/v1", "", "GMI_API_KEY"),
	"groq":              at("https://api.groq.com/openai/v1", "GROQ_API_BASE", "GROQ_API_KEY"),
	"helicone":          at("https://ai-gateway.helicone.ai", "", "HELICONE_API_KEY"),
	"hostinger_router":  at("https://router.hostinger.com/v1", "HOSTINGER_ROUTER_API_BASE", "HOSTINGER_ROUTER_API_KEY"),
	"hyperbolic":        at("https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_BASE", "HYPERBOLIC_API_KEY"),
	"inception":         at("https://api.inceptionlabs.ai/v1", "INCEPTION_API_BASE", "INCEPTION_API_KEY"),
	"inferenceapis":     at("https://api.inferenceapis.com/v1", "INFERENCEAPIS_API_BASE", "INFERENCEAPIS_API_KEY"),
	"jina_ai":           at("https://api.jina.ai/v1", "JINA_AI_API_BASE", "JINA_AI_API_KEY", "JINA_API_KEY", "JINA_AI_TOKEN"),
	"kyma":              at("https://kymaapi.com/v1", "", "KYMA_API_KEY"),
	"lambda_ai":         at("https://api.lambda.ai/v1", "LAMBDA_API_BASE", "LAMBDA_API_KEY"),
	"libertai":          at("https://api.libertai.io/v1", "LIBERTAI_API_BASE", "LIBERTAI_API_KEY").renaming(shortName),
	"llamagate":         at("https://api.llamagate.dev/v1", "", "LLAMAGATE_API_KEY").renaming(shortName),
	"maritalk":          at("https://chat.maritaca.ai/api", "MARITALK_API_BASE", "MARITALK_API_KEY"),
	"meta":              at("https://api.meta.ai/v1", "META_API_BASE", "META_API_KEY"),
	"meta_llama":        at("https://api.llama.com/compat/v1", "LLAMA_API_BASE", "LLAMA_API_KEY"),
	"minimax":           at("https://api.minimax.io/v1", "MINIMAX_API_BASE", "MINIMAX_API_KEY"),
	"mistral":           at("https://api.mistral.ai/v1", "MISTRAL_API_BASE", "MISTRAL_API_KEY"),
	"modelscope":        at("https://api-inference.modelscope.cn/v1", "MODELSCOPE_API_BASE", "MODELSCOPE_API_KEY"),
	"moonshot":          at("https://api.moonshot.ai/v1", "MOONSHOT_API_BASE", "MOONSHOT_API_KEY").renaming(shortName),
	"morph":             at("https://api.morphllm.com/v1", "MORPH_API_BASE", "MORPH_API_KEY"),
	"nadir":             at("https://api.getnadir.com/v1", "NADIR_API_BASE", "NADIR_API_KEY"),
	"nano-gpt":          at("https://nano-gpt.com/api/v1", "", "NANOGPT_API_KEY").renaming(shortName),
	"nebius":            at("https://api.studio.nebius.ai/v1", "NEBIUS_API_BASE", "NEBIUS_API_KEY"),
	"neosantara":        at("https://api.neosantara.xyz/v1", "NEOSANTARA_API_BASE", "NEOSANTARA_API_KEY").renaming(shortName),
	"novita":            at("https://api.novita.ai/v3/openai", "NOVITA_API_BASE", "NOVITA_API_KEY"),
	"nscale":            at("https://inference.api.nscale.com/v1", "NSCALE_API_BASE", "NSCALE_API_KEY"),
	"nvidia_nim":        at("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_BASE", "NVIDIA_NIM_API_KEY").renaming(shortName),
	"opencode_go":       at("https://opencode.ai/inference/go/openai/v1", "OPENCODE_GO_API_BASE", "OPENCODE_GO_API_KEY", "OPENCODE_API_KEY"),
	"openinfer":         at("https://api.openinfer.ai/v1", "OPENINFER_API_BASE", "OPENINFER_API_KEY"),
	"openrouter":        at("https://openrouter.ai/api/v1", "OPENROUTER_API_BASE", "OPENROUTER_API_KEY", "OR_API_KEY"),
	"ovhcloud":          at("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "OVHCLOUD_API_BASE", "OVHCLOUD_API_KEY"),
	"parasail":          at("https://api.parasail.io/v1", "PARASAIL_API_BASE", "PARASAIL_API_KEY"),
	"perplexity":        at("https://api.perplexity.ai", "PERPLEXITY_API_BASE", "PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY").lacking("stop n seed logit_bias logprobs top_logprobs user tools tool_choice parallel_tool_calls"),
	"pinstripes":        at("https://pinstripes.io/v1", "PINSTRIPES_API_BASE", "PINSTRIPES_API_KEY").renaming(shortName),
	"poe":               at("https://api.poe.com/v1", "", "POE_API_KEY").renaming(shortName),
	"prism":             at("https://api.prisminference.com/v1", "PRISM_API_BASE", "PRISM_API_KEY"),
	"publicai":          at("https://api.publicai.co/v1", "PUBLICAI_API_BASE", "PUBLICAI_API_KEY").renaming(shortName),
	"qwen_ai_platform":  at("https://dashscope.aliyuncs.com/compatible-mode/v1", "QWEN_AI_PLATFORM_API_BASE", "QWEN_AI_PLATFORM_API_KEY", "DASHSCOPE_API_KEY"),
	"qwencloud":         at("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "QWENCLOUD_API_BASE", "QWENCLOUD_API_KEY", "DASHSCOPE_API_KEY"),
	"refuseless":        at("https://api.refuseless.com/v1", "", "REFUSELESS_API_KEY"),
	"reka":              at("https://api.reka.ai/v1", "REKA_API_BASE", "REKA_API_KEY"),
	"sail":              at("https://api.sailresearch.com/v1", "SAIL_API_BASE", "SAIL_API_KEY"),
	"sambanova":         at("https://api.sambanova.ai/v1", "SAMBANOVA_API_BASE", "SAMBANOVA_API_KEY").renaming(shortName),
	"scaleway":          at("https://api.scaleway.ai/v1", "", "SCW_SECRET_KEY"),
	"scx-ai":            at("https://api.scx.ai/v1", "SCX_API_BASE", "SCX_API_KEY").renaming(shortName),
	"streamlake":        at("https://vanchin.streamlake.ai/api/gateway/v1/endpoints", "STREAMLAKE_API_BASE", "STREAMLAKE_API_KEY").renaming(longName),
	"synthetic":         at("https://api.synthetic.new/openai/v1", "", "SYNTHETIC_API_KEY").renaming(shortName),
	"tencent":           at("https://tokenhub-intl.tencentcloudmaas.com/v1", "TENCENT_API_BASE", "TENCENT_API_KEY"),
	"tensormesh":        at("https://serverless.tensormesh.ai/v1", "TENSORMESH_SERVERLESS_BASE_URL", "TENSORMESH_INFERENCE_API_KEY").renaming(shortName),
	"together_ai":       at("https://api.together.ai/v1", "TOGETHER_AI_API_BASE", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
	"v0":                at("https://api.v0.dev/v1", "V0_API_BASE", "V0_API_KEY").lacking(sampling + " response_format parallel_tool_calls temperature top_p max_tokens max_completion_tokens"),
	"veniceai":          at("https://api.venice.ai/api/v1", "", "VENICE_AI_API_KEY"),
	"vercel_ai_gateway": at("https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY_API_BASE", "VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
	"volcengine":        at("https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_BASE", "VOLCENGINE_API_KEY").renaming(shortName),
	"voyage":            at("https://api.voyageai.com/v1", "", "VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"),
	"wally":             at("https://inference.runanywhere.ai/v1", "WALLY_API_BASE", "WALLY_API_KEY"),
	"wandb":             at("https://api.inference.wandb.ai/v1", "WANDB_API_BASE", "WANDB_API_KEY").renaming(shortName),
	"xai":               at("https://api.x.ai/v1", "XAI_API_BASE", "XAI_API_KEY"),
	"xiaomi_mimo":       at("https://api.xiaomimimo.com/v1", "", "XIAOMI_MIMO_API_KEY").renaming(shortName),
	"zai":               at("https://api.z.ai/api/paas/v4", "ZAI_API_BASE", "ZAI_API_KEY"),
	"zerogpu":           at("https://api.zerogpu.ai/v1", "ZEROGPU_API_BASE", "ZEROGPU_API_KEY"),

	"azure_ai": {
		baseEnv: "AZURE_AI_API_BASE", keyEnvs: []string{"AZURE_AI_API_KEY"}, auth: inHeader("api-key"), place: onAzureAI,
		note: "`https://RESOURCE.services.ai.azure.com` is asked at `/models`; Claude by [Anthropic's protocol](#anthropic)",
	},
	"baseten": {
		base: basetenModels, baseEnv: "BASETEN_API_BASE", keyEnvs: []string{"BASETEN_API_KEY"}, place: onBaseten,
		note: "a model of eight characters is a deployment of yours, with an address of its own",
	},
	"clarifai": {
		base: "https://api.clarifai.com/v2/ext/openai/v1", keyEnvs: []string{"CLARIFAI_API_KEY"}, place: onClarifai,
		note: "`USER.APP.MODEL` is sent as the model's address",
	},
	"databricks": {
		baseEnv: "DATABRICKS_API_BASE", keyEnvs: []string{"DATABRICKS_API_KEY"}, renames: shortName,
		note: "the address ends in `/serving-endpoints`",
	},
	"datarobot": {
		base: "https://app.datarobot.com", baseEnv: "DATAROBOT_ENDPOINT", keyEnvs: []string{"DATAROBOT_API_TOKEN"}, place: onDataRobot,
		note: "an address that ends in `/api/v2`, or has no path, is asked at the gateway there",
	},
	"gradient_ai": {
		base: "https://inference.do-ai.run/v1", baseEnv: "GRADIENT_AI_AGENT_ENDPOINT", keyEnvs: []string{"GRADIENT_AI_API_KEY"}, ownPath: "/api/v1",
		note: "an agent's address gets `/api/v1`",
	},
	"heroku": {baseEnv: "HEROKU_API_BASE", keyEnvs: []string{"HEROKU_API_KEY"}, ownPath: "/v1"},
	"huggingface": {
		base: huggingFaceRouter, baseEnv: "HF_API_BASE HUGGINGFACE_API_BASE", keyEnvs: []string{"HF_TOKEN", "HUGGINGFACE_API_KEY"},
		ownPath: "/v1", place: onHuggingFace,
		note: "`PROVIDER/OWNER/MODEL` is sent as `OWNER/MODEL:PROVIDER`",
	},
	"ragflow": {
		baseEnv: "RAGFLOW_API_BASE", keyEnvs: []string{"RAGFLOW_API_KEY"}, place: onRAGFlow,
		note: "`chat/ID/MODEL` and `agent/ID/MODEL` are asked at `/api/v1/chats_openai/ID` and `/api/v1/agents_openai/ID`",
	},
	"sarvam": {base: "https://api.sarvam.ai/v1", keyEnvs: []string{"SARVAM_API_KEY"}, auth: inHeader("api-subscription-key"), renames: shortName},
	"snowflake": {
		keyEnvs: []string{"SNOWFLAKE_JWT"}, auth: snowflakeToken, place: onSnowflake, renames: longName, lacks: sampling + " response_format parallel_tool_calls",
		note: "`https://ACCOUNT.snowflakecomputing.com` is asked at `/api/v2/cortex/v1`; a key that begins with `pat/` is an access token",
	},

	"custom_openai":       {keyless: true},
	"docker_model_runner": local("http://localhost:22088/engines/llama.cpp", "DOCKER_MODEL_RUNNER_API_BASE", "DOCKER_MODEL_RUNNER_API_KEY"),
	"hosted_vllm":         local("", "HOSTED_VLLM_API_BASE", "HOSTED_VLLM_API_KEY"),
	"infinity":            local("", "INFINITY_API_BASE", "INFINITY_API_KEY"),
	"lemonade":            local("http://localhost:8000/api/v1", "LEMONADE_API_BASE", "LEMONADE_API_KEY"),
	"litellm_proxy":       local("", "LITELLM_PROXY_API_BASE", "LITELLM_PROXY_API_KEY"),
	"llamafile":           local("http://127.0.0.1:8080/v1", "LLAMAFILE_API_BASE", "LLAMAFILE_API_KEY"),
	"lm_studio":           local("http://127.0.0.1:1234/v1", "LM_STUDIO_API_BASE", "LM_STUDIO_API_KEY"),
	"ollama":              ollama,
	"oobabooga":           {baseEnv: "OOBABOOGA_API_BASE", keyEnvs: []string{"OOBABOOGA_API_KEY"}, keyless: true, ownPath: "/v1"},
	"ollama_chat":         ollama,
	"openai_like":         local("", "OPENAI_LIKE_API_BASE", "OPENAI_LIKE_API_KEY"),
	"xinference":          local("http://127.0.0.1:9997/v1", "XINFERENCE_API_BASE", "XINFERENCE_API_KEY"),
}

var openAI = at(router.DefaultBaseURL, "OPENAI_BASE_URL OPENAI_API_BASE", "OPENAI_API_KEY")

var ollama = provider{
	base: "http://127.0.0.1:11434", baseEnv: "OLLAMA_API_BASE", keyEnvs: []string{"OLLAMA_API_KEY"}, keyless: true, ownPath: "/v1",
	note: "its OpenAI-compatible API is asked: an address without a path gets `/v1`",
}

// at is a service with an address of its own, unless base is empty, which wants a key.
func at(base, baseEnv string, keyEnvs ...string) provider {
	return provider{base: base, baseEnv: baseEnv, keyEnvs: keyEnvs}
}

// The names that services have for the limit of an answer, where they do not know both.
const (
	shortName = "max_completion_tokens max_tokens"
	longName  = "max_tokens max_completion_tokens"
)

// sampling are parameters of OpenAI's that services with few of them do not take.
const sampling = "stop n seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs user"

func (prov provider) renaming(renames string) provider {
	prov.renames = renames
	return prov
}

func (prov provider) lacking(lacks string) provider {
	prov.lacks = lacks
	return prov
}

// local is a server of one's own, which may need no key.
func local(base, baseEnv, keyEnv string) provider {
	return provider{base: base, baseEnv: baseEnv, keyEnvs: []string{keyEnv}, keyless: true}
}

// inHeader is the form of a service that takes its key in a header of its own.
func inHeader(name string) func(key string) (string, map[string]string) {
	return func(key string) (string, map[string]string) { return "", map[string]string{name: key} }
}

// snowflakeToken says which kind of token a key of Snowflake's is.
func snowflakeToken(key string) (string, map[string]string) {
	kind := "KEYPAIR_JWT"
	if token, ok := strings.CutPrefix(key, "pat/"); ok {
		key, kind = token, "PROGRAMMATIC_ACCESS_TOKEN"
	}
	return key, map[string]string{"X-Snowflake-Authorization-Token-Type": kind}
}

// onAzureAI completes the address of a resource: its models lie at /models.
func onAzureAI(base, model string) (string, string) {
	if hasPath(base) || !strings.Contains(base, "services.ai.azure.com") {
		return base, model
	}
	return strings.TrimRight(base, "/") + "/models", model
}

const basetenModels = "https://inference.baseten.co/v1"

// onBaseten finds the address of a dedicated deployment, whose name is eight
// letters and digits.
func onBaseten(base, model string) (string, string) {
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }
	if base != basetenModels || len(model) != 8 || strings.ContainsFunc(model, other) {
		return base, model
	}
	return "https://model-" + model + ".api.baseten.co/environments/production/sync/v1", model
}

// onClarifai names a model by its address.
func onClarifai(base, model string) (string, string) {
	parts := strings.Split(model, ".")
	if len(parts) != 3 {
		return base, model
	}
	return base, fmt.Sprintf("https://clarifai.com/%s/%s/models/%s", parts[0], parts[1], parts[2])
}

// onDataRobot adds the path of the gateway, but not to a deployment's address.
func onDataRobot(base, model string) (string, string) {
	base = strings.TrimRight(base, "/")
	switch {
	case !hasPath(base):
		return base + "/api/v2/genai/llmgw", model
	case strings.HasSuffix(base, "/api/v2"):
		return base + "/genai/llmgw", model
	}
	return base, model
}

const huggingFaceRouter = "https://router.huggingface.co/v1"

// onHuggingFace turns the provider in front of a model's name into the suffix
// that the router there takes.
func onHuggingFace(base, model string) (string, string) {
	if parts := strings.Split(model, "/"); len(parts) == 3 && base == huggingFaceRouter {
		return base, parts[1] + "/" + parts[2] + ":" + parts[0]
	}
	return base, model
}

// onRAGFlow finds the address of a chat or an agent, which stands in the model's name.
func onRAGFlow(base, model string) (string, string) {
	parts := strings.SplitN(model, "/", 3)
	if len(parts) != 3 || parts[0] != "chat" && parts[0] != "agent" {
		return base, model
	}
	base = strings.TrimRight(base, "/")
	base = strings.TrimSuffix(strings.TrimSuffix(base, "/v1"), "/api")
	return fmt.Sprintf("%s/api/v1/%ss_openai/%s", base, parts[0], parts[1]), parts[2]
}

// onSnowflake completes the address of an account.
func onSnowflake(base, model string) (string, string) {
	account, _, _ := strings.Cut(strings.TrimRight(base, "/"), "/api/v2")
	return account + "/api/v2/cortex/v1", model
}

// hasPath reports whether an address has a path.
func hasPath(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	return strings.Contains(strings.TrimRight(rest, "/"), "/")
}

// Table returns the services that speak OpenAI's protocol as a Markdown table: the
// prefix of their models, their address, the variables that replace it and that hold
// the key, and what is particular to them.
func Table() string {
	var out strings.Builder
	out.WriteString("| Prefix | Address | Variable of the address | Key |   |\n|---|---|---|---|---|\n")
	for _, prefix := range slices.Sorted(maps.Keys(services)) {
		s := services[prefix]
		address := code(s.base)
		if s.base == "" {
			address = "`api_base`"
		}
		keys := code(s.keyEnvs...)
		if s.keyless {
			keys = strings.TrimPrefix(keys+", or none", ", ")
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", prefix, address, code(strings.Fields(s.baseEnv)...), keys, s.remarks())
	}
	return out.String()
}

// remarks are what is particular to a service.
func (prov provider) remarks() string {
	var all []string
	if prov.note != "" {
		all = append(all, prov.note)
	}
	if from, to, ok := strings.Cut(prov.renames, " "); ok {
		all = append(all, code(from)+" is sent as "+code(to))
	}
	if prov.lacks != "" {
		all = append(all, "`drop_params` leaves out "+code(strings.Fields(prov.lacks)...))
	}
	return strings.Join(all, "; ")
}

// code is a list of words set in code.
func code(words ...string) string {
	var set []string
	for _, word := range words {
		if word != "" {
			set = append(set, "`"+word+"`")
		}
	}
	return strings.Join(set, ", ")
}
