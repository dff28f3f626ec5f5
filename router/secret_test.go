package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretNeverPrints(t *testing.T) {
	type holder struct {
		Shown  Secret
		hidden Secret
		Map    map[string]Secret
		Ptr    *Secret
	}
	s := NewSecret(testKey)
	h := holder{s, s, map[string]Secret{"a": s}, &s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		for _, v := range []any{s, &s, h, &h, []Secret{s}, errors.Join(fmt.Errorf("x %v", s))} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, testKey) || strings.Contains(text, fmt.Sprintf("%x", testKey)) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
	asJSON, _ := json.Marshal(h)
	asYAML, _ := yaml.Marshal(map[string]any{"s": s})
	for _, text := range []string{string(asJSON), string(asYAML)} {
		if strings.Contains(text, testKey) || !strings.Contains(text, redacted) {
			t.Errorf("marshalled: %s", text)
		}
	}
}

func TestSecret(t *testing.T) {
	var zero, read Secret
	if !zero.Empty() || zero.String() != "" || zero.Reveal() != "" || !NewSecret("").Empty() {
		t.Error("the zero value is a secret")
	}
	if err := json.Unmarshal([]byte(`"abc"`), &read); err != nil || read.Reveal() != "abc" {
		t.Errorf("read back %q, %v", read.Reveal(), err)
	}
	if !read.Equal(NewSecret("abc")) || read.Equal(zero) {
		t.Error("Equal")
	}
}

func TestScrubber(t *testing.T) {
	s := newScrubber("", "none", "ollama", "sk-1234", testKey)
	if got := s.text("ollama none sk-1234 " + testKey); got != "ollama none [redacted] [redacted]" {
		t.Error(got)
	}
}
