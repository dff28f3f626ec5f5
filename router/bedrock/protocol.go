// Package bedrock carries OpenAI's chat completions to Amazon Bedrock's Converse,
// and its answers back. What it does with each parameter stands in
// docs/providers.md.
package bedrock

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"pelton/router/credentials"
	"pelton/router/internal/bedrockaddr"
	"pelton/router/internal/translate"
	"pelton/router/openai"
	"pelton/router/protocol"
	"pelton/schema"
)

// server is Bedrock's name in what people read.
const server = "Bedrock"

// Protocol is one deployment of a model on Bedrock. It is safe for concurrent use.
type Protocol struct {
	at     bedrockaddr.Address
	model  string // as configured
	known  model
	drop   protocol.Drop
	auth   credentials.Authorizer // nil: what proves who asks is in the header
	aws    *credentials.AWS       // the same, where it is a signature
	whole  *http.Request          // to copy, as that below; of an answer in one piece
	stream *http.Request
}

// New makes the protocol for Converse. For model, region, host and credentials see
// package bedrockaddr: the settings have LiteLLM's names.
func New(u protocol.Upstream) (protocol.Protocol, error) { return newProtocol(u) }

func newProtocol(u protocol.Upstream) (*Protocol, error) {
	p := &Protocol{model: u.Model, known: modelOf(u.Model), drop: u.Drop()}
	var err error
	if p.at, err = bedrockaddr.Of(u); err != nil {
		return nil, err
	}
	auth, err := bedrockaddr.Authorizer(u, "bedrock", p.at.Region)
	if err != nil {
		return nil, err
	}
	header := u.FixedHeader()
	header.Set("Content-Type", "application/json")
	switch kind := auth.(type) {
	case credentials.Static:
		kind.Set(header)
	case *credentials.AWS:
		p.auth, p.aws = auth, kind
	default:
		p.auth = auth
	}
	if p.whole, err = template(p.address(u.Model, false), header); err != nil {
		return nil, err
	}
	p.stream, err = template(p.address(u.Model, true), header)
	return p, err
}

// address is where a model is asked. Every character of its id that is not a
// letter, a digit, or one of -_.~ is escaped, as AWS's own clients do it.
func (p *Protocol) address(model string, streamed bool) string {
	id := strings.ReplaceAll(url.QueryEscape(p.at.ID(model)), "+", "%20")
	if streamed {
		return p.at.Host + "/model/" + id + "/converse-stream"
	}
	return p.at.Host + "/model/" + id + "/converse"
}

func template(address string, header http.Header) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, address, nil) //nolint:noctx // to copy
	if err != nil {
		return nil, errors.New("the base URL is no URL")
	}
	if req.Header = header; header.Get("Host") != "" { // net/http takes it from here only
		req.Host = header.Get("Host")
	}
	return req, nil
}

// Serves reports that chat completions can be carried, and streamed.
func (p *Protocol) Serves(endpoint schema.Endpoint) (ok, streams bool) {
	return endpoint == schema.ChatCompletions, endpoint == schema.ChatCompletions
}

// Encode makes the request.
func (p *Protocol) Encode(ctx context.Context, c *protocol.Call) error {
	r := request{Refusals: translate.Refusals{Server: server, Drop: p.drop}, model: p.known}
	if c.Model != p.model {
		r.model = modelOf(c.Model)
	}
	body, err := r.append(make([]byte, 0, len(c.Body)+len(c.Body)/4+512), c.Body)
	if err != nil {
		return err
	}
	from := p.whole
	if c.Streamed {
		from = p.stream
	}
	c.Req = from.WithContext(ctx)
	if c.Model != p.model {
		if c.Req.URL, err = url.Parse(p.address(c.Model, c.Streamed)); err != nil {
			return &schema.Error{Class: schema.ClassUpstreamFatal, Code: "invalid_address", Message: "the model " + c.Model + " and api_base make no URL"}
		}
	}
	c.SetBody(body)
	r.note.again = noteOf(c).again
	c.Note = &r.note
	if p.auth == nil {
		return nil
	}
	c.OwnHeader()
	if err := p.auth.Authorize(ctx, c.Req, body); err != nil {
		return protocol.NoToken(err)
	}
	return nil
}

// noteOf is what Encode noted.
func noteOf(c *protocol.Call) *note {
	if n, ok := c.Note.(*note); ok {
		return n
	}
	return &note{}
}

// Secrets are the credentials that an answer might repeat.
func (p *Protocol) Secrets() []string {
	if secretive, ok := p.auth.(protocol.Secretive); ok {
		return secretive.Secrets()
	}
	return nil
}

// NamesModel says that the body's name of the model is not read.
func (p *Protocol) NamesModel() {}

// Models returns nil: Converse lists none.
func (p *Protocol) Models([]byte) []string { return nil }

// NewMantle makes the protocol for Bedrock's OpenAI endpoint, which needs a key of
// Bedrock's. The region is the setting aws_region_name, or us-east-1; a base URL
// replaces the address.
func NewMantle(u protocol.Upstream) (protocol.Protocol, error) {
	if u.Key == "" && u.Token == nil {
		return nil, errors.New("no key: set api_key to a key of Bedrock's, or BEDROCK_MANTLE_API_KEY or AWS_BEARER_TOKEN_BEDROCK in the environment")
	}
	if u.BaseURL == "" {
		region := u.Settings["aws_region_name"]
		if region == "" {
			region = "us-east-1" // as LiteLLM
		}
		if err := bedrockaddr.CheckRegion(region); err != nil {
			return nil, err
		}
		u.BaseURL = "https://bedrock-mantle." + region + ".api.aws/v1"
	}
	return openai.New(u)
}
