package router

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"
)

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

	// NumRetries is the [Config]'s for requests whose last failure was here.
	// nil: the Config's.
	NumRetries *int

	// CooldownTime is the [Config]'s for this deployment. nil: the Config's.
	CooldownTime *time.Duration

	// RPM, TPM and MaxParallel are its limits: requests and tokens per minute,
	// and calls at once. 0: none. See [Limits].
	RPM, TPM, MaxParallel int

	// Weight is its share under [SimpleShuffle]. nil: see there; 0: it is chosen
	// when nothing else is left.
	Weight *float64

	// Order is its level: the lowest that can take a request does. 0: after all
	// that have one.
	Order int

	// Tags are what requests may ask for. See [Request].
	Tags []string

	// MaxInputTokens is the longest input the model reads. A longer one is not
	// sent. 0: not known.
	MaxInputTokens int

	// Prices say what a call costs.
	Prices Prices
}

func (d Deployment) limits() Limits {
	return Limits{RPM: d.RPM, TPM: d.TPM, MaxParallel: d.MaxParallel}
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
