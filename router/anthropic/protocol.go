// Package anthropic carries OpenAI's chat completions to servers that speak
// Anthropic's Messages, and their answers back. It goes there by four ways:
// Anthropic's own API, Vertex AI, Amazon Bedrock, and Microsoft Foundry. What it
// does with each parameter stands in docs/providers.md.
package anthropic

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"pelton/router/credentials"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// server is Anthropic's name in what people read.
const server = "Anthropic"

// Protocol is one deployment of a model of Anthropic's. It is safe for
// concurrent use.
type Protocol struct {
	via    transport
	model  string
	known  model
	drop   protocol.Drop
	auth   credentials.Authorizer // nil: what proves who asks is in the header
	whole  *http.Request          // to copy, as those below; of an answer in one piece
	stream *http.Request
	list   *http.Request // of the models; nil: they cannot be listed
	limits sync.Map      // by model: the longest answer, as the server told it
}

// apiVersion is the last one that takes temperature, top_p and top_k.
const apiVersion = "2023-06-01"

func newProtocol(u protocol.Upstream, via transport, auth credentials.Authorizer) (*Protocol, error) {
	header := u.FixedHeader()
	header.Set("Content-Type", "application/json")
	if via.versionHeader && header.Get("Anthropic-Version") == "" {
		header.Set("Anthropic-Version", apiVersion)
	}
	if via.noBetaHeader {
		via.betas = betas(header)
		header.Del("Anthropic-Beta")
	}
	if static, ok := auth.(credentials.Static); ok {
		static.Set(header)
		auth = nil
	}
	p := &Protocol{via: via, model: u.Model, known: modelOf(u.Model), drop: u.Drop(), auth: auth}
	request := func(method, address string) (*http.Request, error) {
		req, err := http.NewRequestWithContext(context.Background(), method, address, nil)
		if err != nil {
			return nil, err
		}
		if req.Header = header; header.Get("Host") != "" { // net/http takes it from here only
			req.Host = header.Get("Host")
		}
		return req, nil
	}
	var err error
	if p.whole, err = request(http.MethodPost, via.address(u.Model, false)); err != nil {
		return nil, err
	}
	if p.stream, err = request(http.MethodPost, via.address(u.Model, true)); err != nil {
		return nil, err
	}
	if via.models != "" {
		p.list, err = request(http.MethodGet, via.models)
	}
	return p, err
}

// betas are the features that a header switches on.
func betas(h http.Header) (all []string) {
	for _, value := range h.Values("Anthropic-Beta") {
		for beta := range strings.SplitSeq(value, ",") {
			if beta = strings.TrimSpace(beta); beta != "" {
				all = append(all, beta)
			}
		}
	}
	return all
}

// Serves reports that chat completions can be carried, and streamed.
func (p *Protocol) Serves(endpoint schema.Endpoint) (ok, streams bool) {
	switch endpoint {
	case schema.ChatCompletions:
		return true, true
	case protocol.ListModels:
		return p.list != nil, false
	}
	return false, false
}

// longAnswer is the bound on an answer, in tokens, above which it is asked for as
// a stream in any case: a connection on which nothing comes for ten minutes does
// not last, and no shorter answer takes that long.
const longAnswer = 21333

// Encode makes the request.
func (p *Protocol) Encode(ctx context.Context, c *protocol.Call) error {
	if c.Endpoint == protocol.ListModels {
		c.Req = p.list.WithContext(ctx)
		return p.authorize(ctx, c, nil)
	}
	r := request{Refusals: translate.Refusals{Server: server, Drop: p.drop}, model: p.known, via: &p.via, stream: c.Streamed}
	if c.Model != p.model {
		r.model = modelOf(c.Model)
	}
	r.name = c.Model
	r.limit = p.limit(c, &r)
	body, err := r.append(make([]byte, 0, len(c.Body)+len(c.Body)/4+512), c.Body)
	if err != nil {
		return err
	}
	template := p.whole
	if c.Streamed {
		template = p.stream
	}
	c.Req = template.WithContext(ctx)
	if p.via.project != nil || c.Model != p.model && p.via.modelInURL {
		if err := p.readdress(ctx, c); err != nil {
			return err
		}
	}
	c.SetBody(body)
	c.Note = r.noted(c.Note)
	return p.authorize(ctx, c, body)
}

func (p *Protocol) authorize(ctx context.Context, c *protocol.Call, body []byte) error {
	if p.auth == nil {
		return nil
	}
	c.OwnHeader()
	if err := p.auth.Authorize(ctx, c.Req, body); err != nil {
		return protocol.NoToken(err)
	}
	return nil
}

// readdress makes the address of a call whose model, or project, the call alone
// knows.
func (p *Protocol) readdress(ctx context.Context, c *protocol.Call) error {
	address := p.via.address(c.Model, c.Streamed)
	if p.via.project != nil {
		project, err := p.via.project(ctx)
		if err != nil {
			return protocol.NoToken(err)
		}
		address = strings.Replace(address, noProject, url.PathEscape(project), 1)
	}
	u, err := url.Parse(address)
	if err != nil {
		return &schema.Error{Class: schema.ClassUpstreamFatal, Code: "invalid_address", Message: "the model " + c.Model + " and api_base make no URL"}
	}
	c.Req.URL = u
	return nil
}

// NamesModel says that the body's name of the model is not read.
func (p *Protocol) NamesModel() {}

// Secrets are the tokens that an answer might repeat.
func (p *Protocol) Secrets() []string {
	if secretive, ok := p.auth.(protocol.Secretive); ok {
		return secretive.Secrets()
	}
	return nil
}

// refused reports whether credentials that the server refused are to be fetched
// anew.
func (p *Protocol) refused(status int) bool {
	renewed, ok := p.auth.(interface{ Refused() bool })
	return ok && status == http.StatusUnauthorized && renewed.Refused()
}

// limit is the longest answer that may be asked for: the server's word, else
// what is known of the model.
func (p *Protocol) limit(c *protocol.Call, r *request) int {
	if before, ok := c.Note.(*note); ok && before.room > 0 {
		return before.room
	}
	if limit, ok := p.limits.Load(c.Model); ok {
		return limit.(int)
	}
	if p.via.sonnet46 > 0 && strings.Contains(c.Model, "sonnet-4-6") {
		return p.via.sonnet46
	}
	return r.limit
}

// Models returns the names in Anthropic's list of models.
func (p *Protocol) Models(body []byte) []string { return modelIDs(body) }
