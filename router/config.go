package router

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// The defaults of a [Config].
const (
	DefaultNumRetries       = 2
	DefaultMaxResponseBytes = 64 << 20
	DefaultMaxConnsHint     = 256
)

// Config says which upstreams there are and how they are tried. [Load] and
// [FromEnv] make one; a program may also build it by hand. [New] takes a copy.
type Config struct {
	// Deployments are the upstreams, in the order of the file. Those with the
	// same Group share its requests. At least one is needed.
	Deployments []Deployment

	// NumRetries is how many further attempts a request gets after its first.
	// nil: [DefaultNumRetries]; 0: none.
	NumRetries *int

	// Timeout bounds each attempt of deployments that have none of their own.
	// 0: only the request's own timeout bounds an attempt.
	Timeout time.Duration

	// MaxResponseBytes bounds an answer after decompression; a longer one fails
	// its request with the code response_too_large. 0: [DefaultMaxResponseBytes].
	MaxResponseBytes int64

	// MaxConnsHint is about how many calls will run at once: as many idle
	// connections are kept per host. It limits nothing. 0: [DefaultMaxConnsHint].
	MaxConnsHint int
}

// Deployment is one model at one address, as one member of a group.
type Deployment struct {
	// ID names it in attempts, logs and metrics. Empty: made of the group's
	// name and a number, such as "gpt-4o-mini-1". No two may be equal.
	ID string

	// Group is the model name that requests ask for. One "*" in it matches any
	// text, so that "openai/*" and "*" take many names.
	Group string

	// Model is the name that the upstream is given. A "*" in it stands for what
	// the group's "*" matched.
	Model string

	// BaseURL is what "/chat/completions" is appended to, such as
	// https://api.openai.com/v1. Credentials in it are sent as basic
	// authorization.
	BaseURL string

	// APIKey is sent as bearer token. Empty: none is sent.
	APIKey Secret

	// Organization and Project are sent as OpenAI-Organization and
	// OpenAI-Project. Empty: not sent.
	Organization, Project string

	// Headers are sent with each request, in the place of any other of that name.
	Headers map[string]Secret

	// Timeout bounds one attempt. 0: the [Config]'s.
	Timeout time.Duration
}

// FromEnv makes the configuration that needs no file: one deployment for every
// model name, from OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID and
// OPENAI_PROJECT_ID as env gives them (os.LookupEnv). Without a key it fails,
// unless OPENAI_BASE_URL names another server than OpenAI's, which may need none.
func FromEnv(env func(string) (string, bool)) (*Config, error) {
	get := func(name string) string {
		value, _ := env(name)
		return strings.TrimSpace(value)
	}
	base := get("OPENAI_BASE_URL")
	if base == "" {
		base = defaultBase
	}
	base, authorization, err := parseBase(base)
	if err != nil {
		return nil, fmt.Errorf("OPENAI_BASE_URL %w", err)
	}
	key := NewSecret(get("OPENAI_API_KEY"))
	if key.Empty() && authorization.Empty() && base == defaultBase {
		return nil, errors.New("no key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs none, or PELTON_CONFIG")
	}
	d := Deployment{
		ID: "openai-1", Group: "*", Model: "*", BaseURL: base, APIKey: key,
		Organization: get("OPENAI_ORG_ID"), Project: get("OPENAI_PROJECT_ID"),
	}
	if !authorization.Empty() && key.Empty() {
		d.Headers = map[string]Secret{"Authorization": authorization}
	}
	return &Config{Deployments: []Deployment{d}}, nil
}

// normalised returns a checked copy of d: base URL and credentials apart.
func (d Deployment) normalised() (Deployment, error) {
	fail := func(format string, args ...any) (Deployment, error) { return d, fmt.Errorf(format, args...) }
	if d.Group == "" || d.Model == "" {
		return fail("needs a group and a model")
	}
	if err := checkStars(d.Group, d.Model); err != nil {
		return d, err
	}
	if d.Timeout < 0 {
		return fail("timeout must not be negative")
	}
	base, authorization, err := parseBase(d.BaseURL)
	if err != nil {
		return fail("base URL %w", err)
	}
	d.BaseURL = base
	for name, value := range d.Headers {
		if !validHeaderName(name) {
			return fail("%q is no header name", name)
		}
		if !validHeaderValue(value.Reveal()) {
			return fail("header %s "+badHeaderValue, name)
		}
	}
	for what, value := range map[string]string{"key": d.APIKey.Reveal(), "organization": d.Organization, "project": d.Project} {
		if !validHeaderValue(value) {
			return fail("%s "+badHeaderValue, what)
		}
	}
	d.Headers = maps.Clone(d.Headers)
	if !authorization.Empty() && d.APIKey.Empty() {
		if d.Headers == nil {
			d.Headers = map[string]Secret{}
		}
		d.Headers["Authorization"] = authorization
	}
	return d, nil
}

// checkStars says what is wrong with the wildcards of a group and its model.
func checkStars(group, model string) error {
	switch {
	case strings.Count(group, "*") > 1:
		return fmt.Errorf("group %q holds more than one *", group)
	case strings.Count(model, "*") > 1:
		return fmt.Errorf("model %q holds more than one *", model)
	case strings.Contains(model, "*") && !strings.Contains(group, "*"):
		return fmt.Errorf("model %q holds a * for which the group %q gives no text", model, group)
	}
	return nil
}

const badHeaderValue = "holds characters that no header can carry (a line break?)"

func validHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

func validHeaderValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func basicAuth(user, password string) Secret {
	return NewSecret("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// idFor returns an id for a deployment that has none, unlike all in taken.
func idFor(d Deployment, providerName string, taken map[string]bool) string {
	stem := strings.Trim(strings.ReplaceAll(d.Group, "*", ""), "/-_.: ")
	if stem == "" {
		stem = providerName
	}
	if stem == "" {
		stem = "any"
	}
	for n := 1; ; n++ {
		if id := fmt.Sprintf("%s-%d", stem, n); !taken[id] {
			return id
		}
	}
}
