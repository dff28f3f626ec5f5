package router

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// DefaultBaseURL is OpenAI's own.
const DefaultBaseURL = "https://api.openai.com/v1"

// BaseURLError is what is wrong with a base URL. It does not repeat it: it may
// hold a password.
type BaseURLError struct{ Reason string }

func (e *BaseURLError) Error() string { return "base URL " + e.Reason }

// parseBase reads a base URL. It returns it without credentials and without a
// slash at its end, and the credentials as an Authorization header, empty when
// it holds none. The error is a *[BaseURLError].
func parseBase(raw string) (base string, authorization Secret, err error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil:
		return "", Secret{}, &BaseURLError{"is no URL: write https://HOST/v1"}
	case u.Scheme != "http" && u.Scheme != "https":
		return "", Secret{}, &BaseURLError{"must begin with https:// or http://"}
	case u.Host == "" || u.Hostname() == "":
		return "", Secret{}, &BaseURLError{"names no host: write https://HOST/v1"}
	case u.RawQuery != "" || u.Fragment != "":
		return "", Secret{}, &BaseURLError{"must not hold a query or a fragment"}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		authorization = basicAuth(u.User.Username(), password)
		u.User = nil
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	for _, full := range []string{"/chat/completions", "/completions", "/embeddings", "/responses"} {
		if strings.HasSuffix(u.Path, full) {
			return "", Secret{}, &BaseURLError{fmt.Sprintf("must end before %s, which is appended to it", full)}
		}
	}
	return u.String(), authorization, nil
}

func basicAuth(user, password string) Secret {
	return NewSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}
