// Package secret holds texts that must not be seen, and keeps them from it.
package secret

import (
	"crypto/subtle"
	"fmt"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// Text holds a text that must not be seen: a key, or a header's value. It
// never prints, whatever the verb, the encoder or the struct around it; only
// [Text.Reveal] gives the text away. The zero value is "no secret" and shows
// as an empty text. Copies share the text; it is safe for concurrent use.
//
// It is a pointer and no string, because fmt prints an unexported string field
// without asking its type.
type Text struct{ text *string }

// New returns a secret that holds text; empty text gives the zero value.
func New(text string) Text {
	if text == "" {
		return Text{}
	}
	return Text{text: &text}
}

// Reveal returns the text itself. Pass it to nothing that prints.
func (s Text) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether there is no secret.
func (s Text) Empty() bool { return s.text == nil }

// Equal reports whether both hold the same text, in constant time.
func (s Text) Equal(o Text) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns [Redacted], or "" for the zero value.
func (s Text) String() string {
	if s.Empty() {
		return ""
	}
	return Redacted
}

// Format prints what [Text.String] returns for every verb.
func (s Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText gives what [Text.String] returns, so that JSON and YAML hold it too.
func (s Text) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes text as the secret.
func (s *Text) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
