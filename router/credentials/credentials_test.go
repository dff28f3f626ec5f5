package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestStatic(t *testing.T) {
	for name, test := range map[string]struct {
		auth         Authorizer
		header, want string
	}{
		"key":    {Header("X-Api-Key", "sk-canary"), "X-Api-Key", "sk-canary"},
		"bearer": {Bearer("sk-canary"), "Authorization", "Bearer sk-canary"},
		"token":  {Token(func(context.Context) (string, error) { return "sk-canary", nil }), "Authorization", "Bearer sk-canary"},
		"zero":   {Static{}, "X-Api-Key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.auth.Authorize(t.Context(), req, nil); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get(test.header); got != test.want {
				t.Errorf("%s is %q, want %q", test.header, got, test.want)
			}
			if len(req.Header) > 1 {
				t.Errorf("further headers: %v", req.Header)
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				if text := fmt.Sprintf(verb, test.auth); strings.Contains(text, "canary") {
					t.Errorf("%s prints the secret: %s", verb, text)
				}
			}
		})
	}
}

func TestTokenThatCannotBeHad(t *testing.T) {
	none := errors.New("run gcloud auth application-default login")
	req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Token(func(context.Context) (string, error) { return "", none }).Authorize(t.Context(), req, nil); !errors.Is(err, none) {
		t.Errorf("got %v, want %v", err, none)
	}
	if len(req.Header) > 0 {
		t.Errorf("headers without a token: %v", req.Header)
	}
}
