package gemini

import (
	"pelton/router/credentials"
	"pelton/router/protocol"
)

// Names of the settings of Vertex AI: LiteLLM has two for each.
var (
	projectNames    = []string{"vertex_project", "vertex_ai_project"}
	locationNames   = []string{"vertex_location", "vertex_ai_location"}
	credentialNames = []string{"vertex_credentials", "vertex_ai_credentials"}
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

// NewVertex makes the protocol of a Gemini model on Vertex AI. The settings are
// LiteLLM's: vertex_project (else the credentials' own), vertex_location (else
// us-central1) and vertex_credentials, a file or its content; without, Google's
// application default credentials. A BaseURL replaces the host. A Key is an
// express mode key, where no project is given.
func NewVertex(u protocol.Upstream) (protocol.Protocol, error) {
	location := setting(u, locationNames)
	if location == "" {
		location = defaultLocation
	}
	s := &server{vertex: true, drop: u.DropParams, token: u.Token}
	s.address = address{project: setting(u, projectNames), place: location}
	if u.Key != "" && s.address.project == "" && u.Token == nil {
		s.address.express, location = true, "global"
	}
	var err error
	if s.address.base, s.address.query, err = baseOf(u.BaseURL, VertexHost(location), "/v1"); err != nil {
		return nil, err
	}
	if s.token == nil && !s.address.express {
		if s.google, err = credentials.NewGoogle(setting(u, credentialNames), u.Transport); err != nil {
			return nil, err
		}
		s.token = s.google.Token
	}
	return s.ready(u)
}
