package anthropic

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"pelton/router/credentials"
	"pelton/router/internal/bedrockaddr"
	"pelton/router/protocol"
)

// transport is a way to Anthropic's models: they speak the same protocol
// everywhere, with the model's name and the API's version in other places.
type transport struct {
	address func(model string, streamed bool) string
	models  string // the address of the list of models; empty: there is none

	version       string // anthropic_version, in the body
	versionHeader bool   // the header anthropic-version
	modelInURL    bool   // and not in the body
	streamInURL   bool   // and not in the body
	noBetaHeader  bool   // the header anthropic-beta is not read
	betas         []string
	schemaBeta    string                                // the beta by which answers have a schema's form; empty: none is needed
	asStream      bool                                  // long answers are asked for as a stream
	project       func(context.Context) (string, error) // nil: it is in the address
	frames        bool                                  // streams are AWS's event streams
	sonnet46      int                                   // the longest answer of Sonnet 4.6 there; 0: as elsewhere
}

// New makes the protocol for Anthropic's own API, or for a server that speaks it:
// the base URL may end in /v1, in /v1/messages, or before both. The key goes into
// x-api-key; a token is sent as a bearer.
func New(u protocol.Upstream) (protocol.Protocol, error) {
	base := u.BaseURL
	if base == "" {
		base = "https://api.anthropic.com"
	}
	messages, err := join(base, "")
	if err != nil {
		return nil, err
	}
	return newProtocol(u, direct(messages), keyOf(u, "X-Api-Key"))
}

// direct is the way to an address of Messages itself.
func direct(messages *url.URL) transport {
	text, models := messages.String(), *messages
	models.Path = strings.TrimSuffix(models.Path, "/messages") + "/models"
	models.RawPath = ""
	return transport{
		address: func(string, bool) string { return text }, models: models.String(),
		versionHeader: true, asStream: true,
	}
}

// keyOf is what proves who asks: a token where there is one, else the key in a
// header; nil where there is neither.
func keyOf(u protocol.Upstream, header string) credentials.Authorizer {
	switch {
	case u.Token != nil:
		return credentials.Token(u.Token)
	case u.Key != "":
		return credentials.Header(header, u.Key)
	}
	return nil
}

// join appends /v1/messages to a base, as far as it is missing. root is what has
// to stand before it.
func join(base, root string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("the base URL is no URL")
	}
	path := strings.TrimRight(u.Path, "/")
	path = strings.TrimSuffix(path, "/messages")
	path = strings.TrimSuffix(path, "/v1")
	if root != "" {
		if at := strings.Index(path, root); at >= 0 {
			path = path[:at]
		}
	}
	u.Path, u.RawPath = path+root+"/v1/messages", ""
	return u, nil
}

// NewAzure makes the protocol for Microsoft Foundry. The base URL is the
// resource's, such as https://NAME.services.ai.azure.com, with /anthropic behind
// it or without. The key goes into x-api-key and api-key; a token (Entra) is sent
// as a bearer; for those that are fetched see [credentials.EntraSettings].
func NewAzure(u protocol.Upstream) (protocol.Protocol, error) {
	if u.BaseURL == "" {
		return nil, errors.New("no address: set api_base to https://RESOURCE.services.ai.azure.com")
	}
	messages, err := join(u.BaseURL, "/anthropic")
	if err != nil {
		return nil, err
	}
	via := direct(messages)
	via.models = ""
	entra, err := credentials.EntraSettings(u.Settings, u.Transport)
	switch {
	case err != nil:
		return nil, err
	case entra != nil && u.Token == nil:
		return newProtocol(u, via, entra)
	}
	if token := u.Settings["azure_ad_token"]; token != "" {
		return newProtocol(u, via, credentials.Bearer(token))
	}
	made, err := newProtocol(u, via, keyOf(u, "X-Api-Key"))
	if err == nil && u.Token == nil && u.Key != "" {
		credentials.Header("Api-Key", u.Key).Set(made.whole.Header)
	}
	return made, err
}

// NewVertex makes the protocol for Vertex AI. The settings are LiteLLM's:
// vertex_project (else the credentials' own), vertex_location and
// vertex_credentials, a file or its content; without, Google's application default
// credentials. A token replaces them, and a base URL the host.
func NewVertex(u protocol.Upstream) (protocol.Protocol, error) {
	if u.Token != nil {
		return vertex(u, credentials.Token(u.Token))
	}
	google, err := credentials.NewGoogle(setting(u, "vertex_credentials", "vertex_ai_credentials"), u.Transport)
	if err != nil {
		return nil, err
	}
	return vertex(u, google)
}

// setting is the first of the settings that is there.
func setting(u protocol.Upstream, names ...string) string {
	for _, name := range names {
		if value := u.Settings[name]; value != "" {
			return value
		}
	}
	return ""
}

// noProject stands in an address for the project that the credentials name.
const noProject = "{project}"

func vertex(u protocol.Upstream, auth credentials.Authorizer) (protocol.Protocol, error) {
	project, location := setting(u, "vertex_project", "vertex_ai_project"), setting(u, "vertex_location", "vertex_ai_location")
	google, _ := auth.(*credentials.Google)
	if location == "" {
		location = "us-central1" // as LiteLLM
	}
	switch {
	case project == "" && google == nil:
		return nil, errors.New("no project: set vertex_project")
	case project == "":
		project = noProject
	default:
		project, google = url.PathEscape(project), nil
	}
	host := u.BaseURL
	if host == "" {
		host = vertexHost(location)
	}
	before := fmt.Sprintf("%s/v1/projects/%s/locations/%s/publishers/anthropic/models/", host, project, url.PathEscape(location))
	via := transport{
		address: func(model string, streamed bool) string {
			if streamed {
				return before + url.PathEscape(model) + ":streamRawPredict"
			}
			return before + url.PathEscape(model) + ":rawPredict"
		},
		version: "vertex-2023-10-16", versionHeader: true, modelInURL: true,
	}
	if google != nil {
		via.project = google.Project
	}
	return newProtocol(u, via, auth)
}

// vertexHost is the address of a location's servers.
func vertexHost(location string) string {
	switch location {
	case "global":
		return "https://aiplatform.googleapis.com"
	case "us", "eu":
		return "https://aiplatform." + location + ".rep.googleapis.com"
	}
	return "https://" + location + "-aiplatform.googleapis.com"
}

// NewMantle makes the protocol for Bedrock's own address of Messages. The setting
// aws_region_name says where (us-east-1 without), or a base URL. The key is one of
// Bedrock's, sent as a bearer; without, requests are signed.
func NewMantle(u protocol.Upstream) (protocol.Protocol, error) {
	region := u.Settings["aws_region_name"]
	if region == "" {
		region = "us-east-1" // as LiteLLM
	}
	if err := bedrockaddr.CheckRegion(region); err != nil {
		return nil, err
	}
	base := u.BaseURL
	if base == "" {
		base = "https://bedrock-mantle." + region + ".api.aws"
	}
	messages, err := join(strings.TrimSuffix(base, "/v1"), "/anthropic")
	if err != nil {
		return nil, err
	}
	auth, err := bedrockaddr.Authorizer(u, "bedrock-mantle", region)
	if err != nil {
		return nil, err
	}
	via := direct(messages)
	via.models = ""
	return newProtocol(u, via, auth)
}

// NewBedrock makes the protocol for Amazon Bedrock's InvokeModel. For model,
// region, host and credentials see package bedrockaddr: the settings have
// LiteLLM's names.
func NewBedrock(u protocol.Upstream) (protocol.Protocol, error) {
	at, err := bedrockaddr.Of(u)
	if err != nil {
		return nil, err
	}
	auth, err := bedrockaddr.Authorizer(u, "bedrock", at.Region)
	if err != nil {
		return nil, err
	}
	return bedrock(u, auth)
}

func bedrock(u protocol.Upstream, auth credentials.Authorizer) (protocol.Protocol, error) {
	at, err := bedrockaddr.Of(u)
	if err != nil {
		return nil, err
	}
	return newProtocol(u, transport{
		address: func(model string, streamed bool) string {
			if streamed {
				return at.Host + "/model/" + url.PathEscape(at.ID(model)) + "/invoke-with-response-stream"
			}
			return at.Host + "/model/" + url.PathEscape(at.ID(model)) + "/invoke"
		},
		version: "bedrock-2023-05-31", modelInURL: true, streamInURL: true, noBetaHeader: true,
		schemaBeta: "structured-outputs-2025-11-13", frames: true, sonnet46: 64000,
	}, auth)
}
