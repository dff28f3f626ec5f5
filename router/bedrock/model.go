package bedrock

import (
	"strings"

	"pelton/router/anthropic"
)

// model is what a model's name says of what it takes beyond Converse's own form.
type model struct {
	name    string
	family  family
	claude  anthropic.Claude // of the family claude
	formats bool             // it takes outputConfig.textFormat
}

type family byte

const (
	other family = iota // of which the name says nothing: the server judges
	claude
	nova
	nova2
	gptOSS
)

// modelOf reads an id, an inference profile's id, or an ARN with one in it.
func modelOf(name string) model {
	has := func(part string) bool { return strings.Contains(name, part) }
	switch {
	case has("claude"):
		known := anthropic.ClaudeOf(name)
		return model{name: name, family: claude, claude: known, formats: known.Structured()}
	case has("nova-2"):
		return model{name: name, family: nova2}
	case has("amazon.nova"):
		return model{name: name, family: nova}
	case has("gpt-oss"):
		return model{name: name, family: gptOSS, formats: true}
	}
	return model{name: name, formats: !has("meta.llama") && !has("cohere.") && !has("ai21.") && !has("amazon.titan")}
}
