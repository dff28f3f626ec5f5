package gemini

import (
	"context"
	"errors"
	"strings"

	"pelton/router/anthropic"
	"pelton/router/credentials"
	"pelton/router/protocol"
)

// Names of the settings of Vertex AI: LiteLLM has two for each. The first of them
// comes from a file alone, the other also from the environment.
var (
	projectNames    = []string{"vertex_ai_project", "vertex_project"}
	locationNames   = []string{"vertex_ai_location", "vertex_location"}
	credentialNames = []string{"vertex_ai_credentials", "vertex_credentials"}
)

// setting returns the first of the names that is set.
func setting(u protocol.Upstream, names []string) string {
	for _, name := range names {
		if value := u.Settings[name]; value != "" {
			return value
		}
	}
	return ""
}

// defaultLocation is where LiteLLM looks for models that no location is given for.
const defaultLocation = "us-central1"

// VertexHost is the address of Vertex AI in a location.
func VertexHost(location string) string {
	switch location {
	case "global":
		return "https://aiplatform.googleapis.com"
	case "eu", "us":
		return "https://aiplatform." + location + ".rep.googleapis.com"
	}
	return "https://" + location + "-aiplatform.googleapis.com"
}

// prove gets a token where one is needed.
func prove(ctx context.Context, google *credentials.Google) error {
	if google == nil {
		return nil
	}
	if _, err := google.Token(ctx); err != nil {
		return protocol.NoToken(err)
	}
	return nil
}

// Prove gets a token for a server that needs one.
func (s *server) Prove(ctx context.Context) error { return prove(ctx, s.google) }

// Prove gets a token.
func (p *partner) Prove(ctx context.Context) error { return prove(ctx, p.google) }

// Prove gets a token, which serves for models of all kinds.
func (m anyModel) Prove(ctx context.Context) error { return m.own.(protocol.Prover).Prove(ctx) }

// NewVertex makes the protocol of a model on Vertex AI: generateContent for
// Google's own, OpenAI's for those of other publishers and for endpoints; with a
// "*" for a model Anthropic's for Claude too. The settings are LiteLLM's: vertex_project (else the credentials' own),
// vertex_location (else us-central1) and vertex_credentials, a file or its
// content; without, Google's application default credentials. A BaseURL replaces
// the host. A Key is one of Vertex AI's express mode, where no project is given.
func NewVertex(u protocol.Upstream) (protocol.Protocol, error) {
	at := address{project: setting(u, projectNames), place: setting(u, locationNames)}
	if at.place == "" {
		at.place = defaultLocation
	}
	host := VertexHost(at.place)
	if u.Key != "" && at.project == "" && u.Token == nil {
		at.express, host = true, VertexHost("global")
	}
	var err error
	if at.base, at.query, err = baseOf(u.BaseURL, host, "/v1"); err != nil {
		return nil, err
	}
	var google *credentials.Google
	if u.Token == nil && !at.express {
		if google, err = credentials.NewGoogle(setting(u, credentialNames), u.Transport); err != nil {
			return nil, err
		}
		u.Token, u.Key = google.Token, ""
	}
	if u.Token != nil && google == nil && at.project == "" {
		return nil, errors.New("no project: set vertex_project")
	}
	switch s := (&server{vertex: true, drop: u.Drop(), token: u.Token, address: at, google: google}); {
	case strings.Contains(u.Model, "*"):
		own, err := s.ready(u)
		if err != nil {
			return nil, err
		}
		others, err := newPartner(u, at, google)
		if err != nil {
			return nil, err
		}
		claude, err := anthropic.NewVertex(u)
		return anyModel{own, others, claude}, err
	case partnerModel(u.Model):
		return newPartner(u, at, google)
	default:
		return s.ready(u)
	}
}
