package router

import (
	"crypto/subtle"
	"fmt"
	"strings"
)

// redacted is what a secret shows of itself.
const redacted = "[redacted]"

// Secret holds a text that must not be seen: a key, or a header's value. It
// never prints, whatever the verb, the encoder or the struct around it; only
// [Secret.Reveal] gives the text away. The zero value is "no secret" and shows
// as an empty text. Copies share the text; it is safe for concurrent use.
//
// It is a pointer and no string, because fmt prints an unexported string field
// without asking its type.
type Secret struct{ text *string }

// NewSecret returns a secret that holds text; empty text gives the zero value.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text itself. Pass it to nothing that prints.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.text == nil }

// Equal reports whether both hold the same text, in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns "[redacted]", or "" for the zero value.
func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return redacted
}

// Format prints what [Secret.String] returns for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText gives what [Secret.String] returns, so that JSON and YAML hold it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes text as the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

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
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return text
}
