package litellm

import (
	"errors"
	"fmt"
	"strings"

	"pelton/router/internal/lazyregexp"
	"pelton/schema"
)

// noText finds the names of models that answer no text, by which it is certain.
var noText = lazyregexp.New(`(^|[/.-])(dall-e-\d|gpt-image-\d|whisper(-\d|-large)|tts-\d|sora-\d|imagen-\d|imagegeneration|veo-\d|(omni|text)-moderation|(jina-)?rerank(er)?)|-(tts|transcribe|realtime(-preview)?)(-|$)`)

// Names that say by themselves where a model is: Bedrock's, with or without a part
// of the world in front, and Cohere's.
var (
	bedrockID  = lazyregexp.New(`^((us|eu|apac|jp|au|ca|global|us-gov)\.)?(ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|writer)\.[a-z]`)
	cohereName = lazyregexp.New(`^(command(-|$)|embed-(english|multilingual|v\d)|c4ai-)`)
)

// target is where a configured model lies: its service, and its name there.
type target struct {
	provider string // a key of services or providers, or empty for a server known by its address only
	model    string

	endpoints []schema.Endpoint // that are asked; nil: all
}

// locate reads a litellm_params.model. custom is custom_llm_provider, base the
// configured address, if any. The error says what to write instead.
func locate(model, custom, base string) (target, error) {
	to, err := find(model, custom, base)
	if err != nil {
		return to, err
	}
	if base == "" && to.provider != "" && noText.Get().MatchString(to.model) {
		return target{}, errors.New("a model for images, audio, moderation, reranking or live talk: chat completions, completions, responses and embeddings are served")
	}
	switch rest, way := strings.CutPrefix(to.model, "responses/"); {
	case (to.provider == "openai" || to.provider == "azure") && way:
		to.model, to.endpoints = rest, []schema.Endpoint{schema.Responses}
	case to.provider == "text-completion-openai":
		to.endpoints = []schema.Endpoint{schema.Completions}
	case to.provider == "azure":
		for _, kind := range []string{"o_series/", "gpt5_series/"} { // a deployment's name does not say its model
			to.model = strings.TrimPrefix(to.model, kind)
		}
	}
	return to, nil
}

// find is locate without what stands between a provider and its model.
func find(model, custom, base string) (target, error) {
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
		return target{provider: prefix, model: name}, nil
	}
	if advice, ok := foreign[prefix]; ok && split && !own(prefix, base) {
		return target{}, fmt.Errorf("%q speaks a protocol of its own, not OpenAI's: %s", prefix, advice)
	}
	if (prefix == "azure" || own(prefix, base)) && isV1(base) && split {
		return target{provider: "openai", model: rest}, nil
	}
	if split && known(prefix) {
		if rest == "" {
			return target{}, fmt.Errorf("no model behind %q", prefix+"/")
		}
		return target{provider: prefix, model: rest}, nil
	}
	switch {
	case hasBase:
		return target{model: model}, nil // the slash, if any, is part of the name there
	case split:
		return target{}, fmt.Errorf("unknown provider %q: write \"openai/%s\", with the address of its OpenAI-compatible endpoint as api_base, instead", prefix, rest)
	case bedrockID.Get().MatchString(model):
		return find("bedrock/"+model, "", base)
	case cohereName.Get().MatchString(model):
		return target{provider: "cohere", model: model}, nil
	case strings.HasPrefix(model, "claude"):
		return target{provider: "anthropic", model: model}, nil
	case strings.HasPrefix(model, "gemini"):
		return target{provider: "gemini", model: model}, nil
	default:
		return target{provider: "openai", model: model}, nil
	}
}
