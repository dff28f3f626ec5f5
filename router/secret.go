package router

import (
	"strings"

	"pelton/internal/secret"
	"pelton/router/protocol"
	"pelton/schema"
)

// redacted is what a secret shows of itself.
const redacted = secret.Redacted

// Secret holds a text that must not be seen: a key, or a header's value. Only
// its method Reveal gives the text away; however it is printed or encoded, it
// shows as "[redacted]". The zero value is "no secret". It is safe for
// concurrent use.
type Secret = secret.Text

// NewSecret returns a secret that holds text; empty text gives the zero value.
func NewSecret(text string) Secret { return secret.New(text) }

// scrubber removes a deployment's secrets from text that others will read.
// The zero value removes nothing.
type scrubber []string

// newScrubber returns a scrubber for the given texts. Placeholders that local
// servers take for a key ("none", "ollama") are no secrets, and replacing them
// would garble messages, so short texts are left alone.
func newScrubber(texts ...string) scrubber {
	var s scrubber
	for _, text := range texts {
		if len(text) >= 8 && text != "not-needed" && text != "lm-studio" || strings.HasPrefix(text, "sk-") {
			s = append(s, text)
		}
	}
	return s
}

func (s scrubber) text(text string) string {
	for _, hidden := range s {
		text = strings.ReplaceAll(text, hidden, redacted)
	}
	return text
}

// tidy bounds and scrubs everything of an error that others will read.
func tidy(e *schema.Error, scrub scrubber) *schema.Error {
	e.Message = protocol.OneLine(scrub.text(e.Message), protocol.MaxMessage)
	e.Code = protocol.OneLine(scrub.text(e.Code), 128)
	e.Type = protocol.OneLine(scrub.text(e.Type), 128)
	e.Param = protocol.OneLine(scrub.text(e.Param), 256)
	return e
}
