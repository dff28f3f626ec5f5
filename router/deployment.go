package router

import (
	"math"
	"net/http"
	"net/url"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

// deployment is a configured [Deployment] at work. It is shared by all calls
// and does not change but for its atomics.
type deployment struct {
	Deployment
	host   string // of the base URL, for messages
	client *openai.Client
	scrub  scrubber
	level  int // its Order, those without one last
	rules  coolRules
	health
}

// newDeployment makes the client for d, which is normalised.
func newDeployment(d Deployment, transport http.RoundTripper, limit int64) *deployment {
	made := &deployment{Deployment: d, level: d.Order}
	if d.Order == 0 {
		made.level = math.MaxInt
	}
	if u, err := url.Parse(d.BaseURL); err == nil {
		made.host = u.Host
	}
	secrets := []string{d.APIKey.Reveal()}
	fixed := http.Header{"User-Agent": {"pelton"}}
	if d.Project != "" {
		fixed.Set("OpenAI-Project", d.Project)
	}
	for name, value := range d.Headers {
		fixed.Set(name, value.Reveal())
		secrets = append(secrets, value.Reveal())
		// Of "Bearer KEY" the key alone is the secret that servers repeat.
		if _, token, ok := strings.Cut(value.Reveal(), " "); ok {
			secrets = append(secrets, token)
		}
	}
	made.scrub = newScrubber(secrets...)
	config := openai.DefaultConfig(d.APIKey.Reveal())
	config.BaseURL = d.BaseURL
	config.OrgID = d.Organization
	config.HTTPClient = &rawDoer{transport: transport, fixed: fixed, limit: limit}
	made.client = openai.NewClientWithConfig(config)
	return made
}

// modelFor returns the name to give the upstream, where star is what the
// group's "*" matched.
func (d *deployment) modelFor(star string) string { return strings.Replace(d.Model, "*", star, 1) }

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
