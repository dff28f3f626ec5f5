package gemini

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"pelton/router/credentials"
	"pelton/router/openai"
	"pelton/router/protocol"
	"pelton/schema"
)

// partner is a deployment of a model on Vertex AI that is not Google's own, or
// one's own: these speak OpenAI's protocol, with an OAuth token.
type partner struct {
	protocol.Protocol // OpenAI's
	address           address
	google            *credentials.Google // nil: the token comes from elsewhere
}

// partnerModel reports whether a model on Vertex AI speaks OpenAI's protocol: one
// of another publisher, such as meta/llama-3.3-70b-instruct-maas, or the number
// of an endpoint.
func partnerModel(model string) bool {
	publisher, _, named := strings.Cut(model, "/")
	return named && publisher != "gemini" || isDigits(model) || publisherOf(model) != ""
}

func isDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// publisherOf is the publisher of a model that has an address of its own; empty:
// it has none.
func publisherOf(model string) string {
	model = strings.TrimPrefix(model, "mistralai/")
	switch {
	case strings.HasPrefix(model, "mistral"), strings.HasPrefix(model, "codestral"):
		return "mistralai"
	case strings.HasPrefix(model, "jamba"):
		return "ai21"
	}
	return ""
}

// newPartner makes the protocol of such a model.
func newPartner(u protocol.Upstream, at address, google *credentials.Google) (protocol.Protocol, error) {
	u.BaseURL, u.Key = at.base, ""
	inner, err := openai.New(u)
	if err != nil {
		return nil, err
	}
	return &partner{Protocol: inner, address: at, google: google}, nil
}

// Serves reports that there are chat completions alone.
func (p *partner) Serves(endpoint schema.Endpoint) (ok, streams bool) {
	return endpoint == schema.ChatCompletions, true
}

// Encode makes OpenAI's request and sends it to where the model is.
func (p *partner) Encode(ctx context.Context, c *protocol.Call) error {
	project := p.address.project
	if project == "" && p.google != nil {
		var err error
		if project, err = p.google.Project(ctx); err != nil {
			return protocol.NoToken(err)
		}
	}
	at, err := url.Parse(p.address.ofPartner(c.Model, project, c.Streamed))
	if err != nil {
		return errors.New("the model's name and api_base make no URL")
	}
	at.RawQuery = p.address.query
	if err := p.Protocol.Encode(ctx, c); err != nil {
		return err
	}
	c.Req.URL, c.Req.Host = at, at.Host
	return nil
}

// ofPartner is where a model of another publisher takes chat completions.
func (a address) ofPartner(model, project string, streamed bool) string {
	within := a.base + "/projects/" + url.PathEscape(project) + "/locations/" + url.PathEscape(a.place)
	if number := strings.TrimPrefix(model, "openai/"); isDigits(number) {
		return within + "/endpoints/" + number + "/chat/completions"
	}
	publisher := publisherOf(model)
	if publisher == "" {
		return within + "/endpoints/openapi/chat/completions"
	}
	method := ":rawPredict"
	if streamed {
		method = ":streamRawPredict"
	}
	return within + "/publishers/" + publisher + "/models/" + escaped(strings.TrimPrefix(model, publisher+"/")) + method
}

// Decode notes a token that was refused.
func (p *partner) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	a := p.Protocol.Decode(c, reply)
	if reply.Status == http.StatusUnauthorized && p.google != nil && p.google.Refused() {
		a.Fault.Class = schema.ClassTransient // with another token
	}
	return a
}

// Secrets are the tokens that an answer might repeat.
func (p *partner) Secrets() []string {
	if p.google == nil {
		return nil
	}
	return p.google.Secrets()
}

// anyModel is a deployment whose model only a call knows: of any kind.
type anyModel struct{ own, partner, claude protocol.Protocol }

func (m anyModel) of(model string) protocol.Protocol {
	switch {
	case strings.HasPrefix(model, "claude"):
		return m.claude
	case partnerModel(model):
		return m.partner
	}
	return m.own
}

func (m anyModel) Serves(endpoint schema.Endpoint) (ok, streams bool) { return m.own.Serves(endpoint) }

func (m anyModel) Encode(ctx context.Context, c *protocol.Call) error {
	p := m.of(c.Model)
	if ok, _ := p.Serves(c.Endpoint); !ok {
		return &schema.Error{
			Class: schema.ClassRequestFatal, Code: schema.CodeInvalidRequest, Param: "model", Message: "the model " + c.Model + " takes chat completions alone",
		}
	}
	return p.Encode(ctx, c)
}

func (m anyModel) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	return m.of(c.Model).Decode(c, reply)
}

func (m anyModel) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	return m.of(c.Model).Stream(c, reply, body, limit)
}

func (m anyModel) Models(body []byte) []string { return m.own.Models(body) }

// Secrets are the tokens of all kinds.
func (m anyModel) Secrets() (all []string) {
	for _, p := range []protocol.Protocol{m.own, m.partner, m.claude} {
		if s, ok := p.(protocol.Secretive); ok {
			all = append(all, s.Secrets()...)
		}
	}
	return all
}
