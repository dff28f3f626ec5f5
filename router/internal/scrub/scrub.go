// Package scrub removes secrets from what others will read.
package scrub

import (
	"bytes"
	"strings"

	"pelton/internal/secret"
	"pelton/router/protocol"
	"pelton/schema"
)

// Texts are secrets, to be removed from what others will read. The zero value removes nothing.
type Texts []string

// New returns what removes the given texts. Placeholders that local servers
// take for a key ("none", "ollama") are no secrets, and replacing them would garble
// messages, so short texts are left alone.
func New(texts ...string) Texts {
	var s Texts
	for _, text := range texts {
		if len(text) >= 8 && text != "not-needed" && text != "lm-studio" || strings.HasPrefix(text, "sk-") {
			s = append(s, text)
		}
	}
	return s
}

// Text returns text without the secrets.
func (s Texts) Text(text string) string {
	for _, hidden := range s {
		text = strings.ReplaceAll(text, hidden, secret.Redacted)
	}
	return text
}

// Bytes is [Texts.Text] for bytes: where nothing is removed they are the same ones.
func (s Texts) Bytes(body []byte) []byte {
	for _, hidden := range s {
		if bytes.Contains(body, []byte(hidden)) {
			body = bytes.ReplaceAll(body, []byte(hidden), []byte(secret.Redacted))
		}
	}
	return body
}

// Tidy bounds and scrubs everything of an error that others will read. It changes e.
func (s Texts) Tidy(e *schema.Error) {
	e.Message = protocol.OneLine(s.Text(e.Message), protocol.MaxMessage)
	e.Code = protocol.OneLine(s.Text(e.Code), 128)
	e.Type = protocol.OneLine(s.Text(e.Type), 128)
	e.Param = protocol.OneLine(s.Text(e.Param), 256)
}
