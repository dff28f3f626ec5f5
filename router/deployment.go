package router

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pelton/router/internal/bearer"
	"pelton/router/internal/budget"
	"pelton/router/internal/canned"
	"pelton/router/internal/http1"
	"pelton/router/internal/scrub"
	names "pelton/router/internal/wildcard"
	"pelton/router/protocol"
	"pelton/schema"
)

// deployment is a configured [Deployment] at work. It is shared by all calls;
// what changes is its health.
type deployment struct {
	Deployment
	host       string // of the base URL, for messages; empty: the protocol knows it
	transport  http.RoundTripper
	protocol   protocol.Protocol
	limit      int64 // bytes of an answer
	secrets    scrub.Texts
	dropped    dropped
	namesModel bool           // its protocol does not read the name in the body
	token      *bearer.Source // nil: none that changes
	level      int            // its Order, those without one last
	rules      coolRules
	budgets    []*budget.Budget
	health
}

// newDeployment makes d, which is normalised, ready for calls.
func newDeployment(d Deployment, transport http.RoundTripper, limit int64) (*deployment, error) {
	if d.MockResponse != nil {
		transport = canned.New(*d.MockResponse)
	}
	made := &deployment{Deployment: d, transport: transport, limit: limit, level: d.Order, token: bearer.New(d.TokenFile, d.TokenCommand)}
	if d.Order == 0 {
		made.level = math.MaxInt
	}
	if u, err := url.Parse(d.BaseURL); err == nil {
		made.host = u.Host
	}
	secrets := []string{d.APIKey.Reveal(), d.Token.Reveal()}
	for _, value := range d.Headers {
		secrets = append(secrets, value.Reveal())
		// Of "Bearer KEY" the key alone is the secret that servers repeat.
		if _, token, ok := strings.Cut(value.Reveal(), " "); ok {
			secrets = append(secrets, token)
		}
	}
	for name, value := range d.Settings { // regions and projects are none
		if strings.Contains(name, "key") || strings.Contains(name, "secret") || strings.Contains(name, "token") {
			secrets = append(secrets, value.Reveal())
		}
	}
	if proxy, err := url.Parse(d.Proxy.Reveal()); err == nil && proxy.User != nil {
		password, _ := proxy.User.Password()
		secrets = append(secrets, password)
	}
	made.secrets = scrub.New(secrets...)
	var err error
	if made.protocol, err = newProtocol(d, made.token, transport, made.dropped.tell); err != nil {
		return nil, err
	}
	_, made.namesModel = made.protocol.(protocol.Namer)
	return made, nil
}

// scrub returns what removes the deployment's secrets from text.
func (d *deployment) scrub() scrub.Texts {
	var more []string
	if d.token != nil {
		more = d.token.Known()
	}
	if p, ok := d.protocol.(protocol.Secretive); ok {
		more = append(more, p.Secrets()...)
	}
	if more == nil {
		return d.secrets
	}
	return append(scrub.New(more...), d.secrets...)
}

// roundTrip makes a call, on a connection that had none before where fresh is set;
// else the error may be a [*http1.StaleError].
func (d *deployment) roundTrip(req *http.Request, fresh bool) (*http.Response, error) {
	if own, ok := d.transport.(*http1.Transport); ok {
		return own.Call(req, fresh)
	}
	return d.transport.RoundTrip(req)
}

// serves reports whether requests of an endpoint can go to d.
func (d *deployment) serves(endpoint schema.Endpoint) bool {
	ok, _ := d.protocol.Serves(endpoint)
	return ok && (d.Endpoints == nil || slices.Contains(d.Endpoints, endpoint))
}

// modelFor returns the name to give the upstream, where wildcard is what the
// group's "*" matched.
func (d *deployment) modelFor(wildcard string) string {
	return names.Fill(d.Model, wildcard)
}

// sameAs reports whether d and o are one model, at one address and with one key.
func (d *deployment) sameAs(o *deployment) bool {
	return d == o || d.Model == o.Model && d.BaseURL == o.BaseURL && d.BaseURL != "" && d.APIKey == o.APIKey && d.protocolName() == o.protocolName()
}

// DeploymentInfo describes a configured deployment without its secrets.
type DeploymentInfo struct {
	ID      string `json:"id"`
	Group   string `json:"group"`    // the model name that requests ask for; may hold a "*"
	Model   string `json:"model"`    // the name the upstream is given; may hold a "*"
	BaseURL string `json:"base_url"` // without credentials
}

func (d *deployment) info() DeploymentInfo {
	return DeploymentInfo{ID: d.ID, Group: d.Group, Model: d.Model, BaseURL: d.BaseURL}
}
