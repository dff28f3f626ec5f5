// Package baseurl reads the addresses of servers.
package baseurl

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"

	"pelton/internal/secret"
)

// Error is what is wrong with a base URL. It does not repeat it: it may
// hold a password.
type Error struct{ Reason string }

func (e *Error) Error() string { return "base URL " + e.Reason }

// Parse reads a base URL. It returns it without credentials and without a
// slash at its end, and the credentials as an Authorization header, empty when
// it holds none. The error is an *[Error].
func Parse(raw string) (base string, authorization secret.Text, err error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil:
		return "", secret.Text{}, &Error{"is no URL: write https://HOST/v1"}
	case u.Scheme != "http" && u.Scheme != "https":
		return "", secret.Text{}, &Error{"must begin with https:// or http://"}
	case u.Host == "" || u.Hostname() == "":
		return "", secret.Text{}, &Error{"names no host: write https://HOST/v1"}
	case u.RawQuery != "" || u.Fragment != "":
		return "", secret.Text{}, &Error{"must not hold a query or a fragment"}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		authorization = basicAuth(u.User.Username(), password)
		u.User = nil
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	for _, full := range []string{"/chat/completions", "/completions", "/embeddings", "/responses"} {
		if strings.HasSuffix(u.Path, full) {
			return "", secret.Text{}, &Error{fmt.Sprintf("must end before %s, which is appended to it", full)}
		}
	}
	return u.String(), authorization, nil
}

func basicAuth(user, password string) secret.Text {
	return secret.New("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}
