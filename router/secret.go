package router

import "pelton/internal/secret"

// Secret holds a text that must not be seen: a key, or a header's value. Only
// its method Reveal gives the text away; however it is printed or encoded, it
// shows as "[redacted]". The zero value is "no secret". It is safe for
// concurrent use.
type Secret = secret.Text

// NewSecret returns a secret that holds text; empty text gives the zero value.
func NewSecret(text string) Secret { return secret.New(text) }
