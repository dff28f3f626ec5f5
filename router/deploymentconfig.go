package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"pelton/router/internal/baseurl"
	"pelton/router/internal/route"
	"pelton/schema"
)

// Deployment is one model at one address, as one member of a group.
type Deployment struct {
	// ID names it in attempts, logs and metrics. Empty: made of the group's
	// name and a number, such as "gpt-4o-mini-1". No two may be equal.
	ID string

	// Group is the model name that requests ask for. A "*" in it matches any
	// text, so that "openai/*" and "*" take many names.
	Group string

	// Model is the name that the upstream is given. A "*" in it stands for what
	// the group's "*" matched, the first for the first.
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

	// Protocol is how the server is asked: "openai", "anthropic" (Messages), the
	// same by other ways as "anthropic_azure", "anthropic_vertex" and
	// "anthropic_bedrock", or any other that router/protocols.go names. Empty: "openai", or Azure's where Azure is set.
	Protocol string

	// Settings are what the protocol needs besides, by LiteLLM's names for it, such
	// as aws_region_name. What is not known to the protocol is left unused.
	Settings map[string]Secret

	// DropParams leaves parameters out of requests that the server has no place
	// for; else such a request is refused. OpenAI's protocol passes all on.
	DropParams bool

	// Azure says that the server has Azure OpenAI's paths: BaseURL is the
	// resource's, Model the name of the deployment there, APIVersion is needed,
	// and APIKey goes into the header api-key. An address that ends in /openai/v1
	// is an ordinary one.
	Azure      bool
	APIVersion string

	// Token is sent as bearer token in the place of a key, with Azure (Entra).
	// TokenFile and TokenCommand give one that changes, with any server: the
	// file is read, or the command run, every few minutes and after a 401.
	Token        Secret
	TokenFile    string
	TokenCommand []string

	// Proxy is the way to the server. Empty: as HTTPS_PROXY and the like say.
	Proxy Secret

	// CAFile holds further certificate authorities to trust, in PEM form.
	// Insecure trusts every certificate.
	CAFile   string
	Insecure bool

	// Headers are sent with each request, in the place of any other of that name.
	Headers map[string]Secret

	// Defaults is a JSON object with members to add to bodies that lack them.
	// They are sent to chat completions and completions. nil: none.
	Defaults json.RawMessage

	// EmbeddingDefaults are the same for embeddings. nil: none.
	EmbeddingDefaults json.RawMessage

	// Drop are parameters to leave out of bodies: names, or what lies deeper as
	// tools[*].function.strict. nil: none.
	Drop []string

	// Endpoints are those that it serves of its protocol's. nil: all.
	Endpoints []schema.Endpoint

	// MockResponse is what is answered in the place of a call; nothing is called. As
	// in LiteLLM some texts are errors, such as litellm.RateLimitError. nil: calls are made.
	MockResponse *string

	// Timeout bounds one attempt. 0: the [Config]'s.
	Timeout time.Duration

	// FirstToken and NextToken bound a streamed answer's time to its first token
	// and between tokens, besides Timeout, which bounds the whole of it.
	// 0: the [Config]'s.
	FirstToken, NextToken time.Duration

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

// BaseURLError is what is wrong with a base URL. It does not repeat it: it may
// hold a password.
type BaseURLError = baseurl.Error

// Check returns d as [New] uses it, base URL and credentials apart, or what is
// wrong with it: a *[BaseURLError] where that is the address.
func (d Deployment) Check() (Deployment, error) {
	fail := func(format string, args ...any) (Deployment, error) { return d, fmt.Errorf(format, args...) }
	if d.Group == "" || d.Model == "" {
		return fail("needs a group and a model")
	}
	if err := CheckNames(d.Group, d.Model); err != nil {
		return d, err
	}
	if d.MockResponse != nil { // whatever it would have called
		d.Protocol, d.Azure, d.BaseURL, d.TokenFile, d.TokenCommand = "", false, "http://mock-response.invalid/v1", "", nil
		d.Token = Secret{}
	}
	if d.FirstToken < 0 || d.NextToken < 0 {
		return fail("the times to the first and the next token must not be negative")
	}
	if d.Timeout < 0 {
		return fail("timeout must not be negative")
	}
	var authorization Secret
	if d.BaseURL != "" || d.speaksOpenAI() { // other protocols know where their servers are
		var err error
		if d.BaseURL, authorization, err = baseurl.Parse(d.BaseURL); err != nil {
			return d, err
		}
	}
	if err := d.checkProtocol(); err != nil {
		return d, err
	}
	if err := d.checkWays(); err != nil {
		return d, err
	}
	for name, value := range d.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			return fail("%q is no header name", name)
		}
		if !httpguts.ValidHeaderFieldValue(value.Reveal()) {
			return fail("header %s "+BadHeaderValue, name)
		}
	}
	for what, value := range map[string]string{"key": d.APIKey.Reveal(), "organization": d.Organization, "project": d.Project, "token": d.Token.Reveal()} {
		if !httpguts.ValidHeaderFieldValue(value) {
			return fail("%s "+BadHeaderValue, what)
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

// CheckAuthorities says what is wrong with a [Deployment]'s CAFile.
func CheckAuthorities(path string) error {
	_, err := route.ReadCAs(path)
	return err
}

// checkWays says what is wrong with how d is reached, limited and chosen.
func (d Deployment) checkWays() error {
	switch {
	case d.Azure && d.APIVersion == "":
		return errors.New("an Azure deployment needs an api_version, such as 2024-10-21")
	case !d.TakesEntra() && !d.Token.Empty():
		return errors.New("a Token is for Azure: use APIKey")
	case d.TokenFile != "" && len(d.TokenCommand) > 0:
		return errors.New("has a TokenFile and a TokenCommand: keep one")
	case d.RPM < 0 || d.TPM < 0 || d.MaxParallel < 0 || d.MaxInputTokens < 0:
		return errors.New("limits must not be negative")
	case d.Weight != nil && !(*d.Weight >= 0 && *d.Weight < 1e12):
		return errors.New("weight must not be negative")
	case d.NumRetries != nil && *d.NumRetries < 0, d.CooldownTime != nil && *d.CooldownTime < 0:
		return errors.New("NumRetries and CooldownTime must not be negative")
	case d.CAFile != "" && d.Insecure:
		return errors.New("has a CAFile and is Insecure: keep one")
	}
	if !d.Proxy.Empty() {
		if _, err := route.ParseProxy(d.Proxy.Reveal()); err != nil {
			return err
		}
	}
	for _, price := range []*float64{d.Prices.Input, d.Prices.Output, d.Prices.CacheRead, d.Prices.CacheWrite, d.Prices.Reasoning} {
		if price != nil && !(*price >= 0 && *price < 1e6) {
			return errors.New("prices must not be negative")
		}
	}
	for _, defaults := range []json.RawMessage{d.Defaults, d.EmbeddingDefaults} {
		if defaults == nil {
			continue
		}
		if _, err := schema.SetField(defaults, "x", []byte("1")); err != nil {
			return fmt.Errorf("the fields Defaults and EmbeddingDefaults: %w", err)
		}
	}
	return nil
}

// CheckNames says what is wrong with the wildcards of a group and its model.
func CheckNames(group, model string) error {
	if given, wanted := strings.Count(group, "*"), strings.Count(model, "*"); wanted > given {
		if given == 0 {
			return fmt.Errorf("model %q holds a * for which the group %q gives no text", model, group)
		}
		return fmt.Errorf("model %q holds %d * and the group %q gives text for %d", model, wanted, group, given)
	}
	return nil
}

// BadHeaderValue is what is said of a text that a header is to carry and cannot.
const BadHeaderValue = "holds characters that no header can carry (a line break?)"
