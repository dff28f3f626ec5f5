package router

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"pelton/router/anthropic"
	"pelton/router/bedrock"
	"pelton/router/cohere"
	"pelton/router/gemini"
	"pelton/router/internal/bearer"
	"pelton/router/openai"
	"pelton/router/protocol"
)

// protocols are those that a deployment may speak. Each one more is a package
// beside openai, and a line here.
var protocols = map[string]protocol.New{
	protocolOpenAI: openai.New,
	protocolAzure:  openai.NewAzure,

	protocolAnthropic:        anthropic.New,
	protocolAnthropicAzure:   anthropic.NewAzure,
	protocolAnthropicVertex:  anthropic.NewVertex,
	protocolAnthropicBedrock: anthropic.NewBedrock,
	protocolAnthropicMantle:  anthropic.NewMantle,

	protocolGemini: gemini.New,
	protocolVertex: gemini.NewVertex,

	protocolCohere: cohere.New,

	protocolBedrock:       bedrock.New,
	protocolBedrockMantle: bedrock.NewMantle,
}

// The names of protocols. The first two are those of deployments that name none.
const (
	protocolOpenAI = "openai"
	protocolAzure  = "azure"

	protocolAnthropic        = "anthropic"         // Messages
	protocolAnthropicAzure   = "anthropic_azure"   // the same by Microsoft Foundry
	protocolAnthropicVertex  = "anthropic_vertex"  // by Vertex AI
	protocolAnthropicBedrock = "anthropic_bedrock" // by Amazon Bedrock
	protocolAnthropicMantle  = "anthropic_mantle"  // by Bedrock's own address of Messages

	protocolGemini = "gemini"    // generateContent
	protocolVertex = "vertex_ai" // the same by Vertex AI, and OpenAI's for models of other publishers there

	protocolCohere = "cohere" // version 2

	protocolBedrock       = "bedrock"        // Converse
	protocolBedrockMantle = "bedrock_mantle" // OpenAI's, at Bedrock's own address for it
)

// TakesEntra reports whether d sends a token of Entra's as such; any other server
// takes it for a key.
func (d Deployment) TakesEntra() bool { return d.Azure || d.protocolName() == protocolAnthropicAzure }

// protocolName is the name of the protocol that d speaks.
func (d Deployment) protocolName() string {
	switch {
	case d.Protocol != "":
		return d.Protocol
	case d.Azure:
		return protocolAzure
	}
	return protocolOpenAI
}

// speaksOpenAI reports whether d needs an address of a server of OpenAI's protocol.
func (d Deployment) speaksOpenAI() bool {
	name := d.protocolName()
	return name == protocolOpenAI || name == protocolAzure
}

// checkProtocol says what is wrong with the protocol's name.
func (d Deployment) checkProtocol() error {
	if protocols[d.protocolName()] == nil {
		return fmt.Errorf("unknown protocol %q: want %s", d.Protocol, strings.Join(slices.Sorted(maps.Keys(protocols)), ", "))
	}
	return nil
}

// CheckSettings reports what the protocol of d, which is checked, lacks, such as
// a region: a configuration is refused by it before anything begins. It makes no
// call, and for OpenAI's protocol, which lacks nothing, nothing else either.
func (d Deployment) CheckSettings() error {
	if d.speaksOpenAI() && d.Settings["client_secret"].Empty() { // it needs none
		return nil
	}
	_, err := newProtocol(d, bearer.New(d.TokenFile, d.TokenCommand), http.DefaultTransport, nil)
	return err
}

// newProtocol makes the protocol of d, which is checked.
func newProtocol(d Deployment, token *bearer.Source, transport http.RoundTripper, told func(param, why string)) (protocol.Protocol, error) {
	u := protocol.Upstream{
		ID: d.ID, BaseURL: d.BaseURL, Model: d.Model, Key: d.APIKey.Reveal(), DropParams: d.DropParams, Dropped: told, Transport: transport,
		Headers: map[string]string{}, Settings: map[string]string{},
	}
	if token != nil {
		u.Token = token.Get
	}
	for name, value := range d.Headers {
		u.Headers[name] = value.Reveal()
	}
	for name, value := range d.Settings {
		u.Settings[name] = value.Reveal()
	}
	for name, value := range map[string]string{
		"organization": d.Organization, "project": d.Project, "api_version": d.APIVersion, "azure_ad_token": d.Token.Reveal(),
	} {
		if value != "" {
			u.Settings[name] = value
		}
	}
	return protocols[d.protocolName()](u)
}
