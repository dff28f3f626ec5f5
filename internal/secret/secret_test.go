package secret_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pelton/internal/secret"
)

func TestSecretNeverPrints(t *testing.T) {
	const key = "sk-test-key-0123456789"
	type holder struct {
		Shown  secret.Text
		hidden secret.Text
		Map    map[string]secret.Text
		Ptr    *secret.Text
	}
	s := secret.New(key)
	h := holder{s, s, map[string]secret.Text{"a": s}, &s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
		for _, v := range []any{s, &s, h, &h, []secret.Text{s}, errors.Join(fmt.Errorf("x %v", s))} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, key) || strings.Contains(text, fmt.Sprintf("%x", key)) {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
	asJSON, _ := json.Marshal(h)
	asYAML, _ := yaml.Marshal(map[string]any{"s": s})
	for _, text := range []string{string(asJSON), string(asYAML)} {
		if strings.Contains(text, key) || !strings.Contains(text, secret.Redacted) {
			t.Errorf("marshalled: %s", text)
		}
	}
}

func TestText(t *testing.T) {
	var zero, read secret.Text
	if !zero.Empty() || zero.String() != "" || zero.Reveal() != "" || !secret.New("").Empty() {
		t.Error("the zero value is a secret")
	}
	if err := json.Unmarshal([]byte(`"abc"`), &read); err != nil || read.Reveal() != "abc" {
		t.Errorf("read back %q, %v", read.Reveal(), err)
	}
	if !read.Equal(secret.New("abc")) || read.Equal(zero) {
		t.Error("Equal")
	}
}
