// Package cohere carries OpenAI's chat completions to Cohere's chat, and its
// embeddings to Cohere's embed, both of version 2, and the answers back. What it
// does with each parameter stands in docs/providers.md.
package cohere

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
	"pelton/schema"
)

// server is Cohere's name in what people read.
const server = "Cohere"

// Protocol is one deployment of a model of Cohere's. It is safe for concurrent use.
type Protocol struct {
	drop  protocol.Drop
	token func(context.Context) (string, error) // nil: the key is in the header
	base  string                                // for hints
	paths map[schema.Endpoint]*http.Request     // to copy
}

// New makes the protocol. The base URL may end before the version, in it, or behind
// it in /chat; version 2 is asked in any case.
func New(u protocol.Upstream) (protocol.Protocol, error) {
	base, query, _ := strings.Cut(u.BaseURL, "?")
	if base == "" {
		base = "https://api.cohere.com"
	}
	if query != "" {
		query = "?" + query
	}
	base = strings.TrimRight(base, "/")
	for _, end := range []string{"/chat", "/embed", "/v2", "/v1"} {
		base = strings.TrimSuffix(base, end)
	}
	p := &Protocol{drop: u.Drop(), token: u.Token, base: base, paths: map[schema.Endpoint]*http.Request{}}
	header := u.FixedHeader()
	if header.Get("Authorization") == "" && u.Key != "" && u.Token == nil {
		header.Set("Authorization", "Bearer "+u.Key)
	}
	header.Set("Accept", "application/json")
	for endpoint, at := range map[schema.Endpoint]struct{ method, path string }{
		schema.ChatCompletions: {http.MethodPost, "/v2/chat"}, schema.Embeddings: {http.MethodPost, "/v2/embed"},
		protocol.ListModels: {http.MethodGet, "/v1/models?page_size=1000"},
	} {
		address := base + at.path + query
		if strings.Contains(at.path, "?") {
			address = base + at.path + strings.Replace(query, "?", "&", 1)
		}
		req, err := http.NewRequest(at.method, address, nil) //nolint:noctx // to copy
		if err != nil {
			return nil, errors.New("the base URL is no URL")
		}
		req.Header = header
		if at.method == http.MethodPost {
			req.Header = header.Clone()
			req.Header.Set("Content-Type", "application/json")
		}
		if host := header.Get("Host"); host != "" { // net/http takes it from here only
			req.Host = host
		}
		p.paths[endpoint] = req
	}
	return p, nil
}

// Serves reports that chat completions can be carried, and streamed, and
// embeddings.
func (p *Protocol) Serves(endpoint schema.Endpoint) (ok, streams bool) {
	return p.paths[endpoint] != nil, endpoint == schema.ChatCompletions
}

// note is what the reader of an answer has to know of the request.
type note struct {
	usage  bool // the stream is to tell the usage
	packed bool // vectors are to be in base64
}

// Encode makes the request.
func (p *Protocol) Encode(ctx context.Context, c *protocol.Call) error {
	refusals := translate.Refusals{Server: server, Drop: p.drop}
	var body []byte
	var n note
	switch c.Endpoint {
	case schema.ChatCompletions:
		r := request{Refusals: refusals, model: c.Model}
		body = r.append(make([]byte, 0, len(c.Body)+len(c.Body)/8+256), c.Body)
		n, refusals = r.note, r.Refusals
	case schema.Embeddings:
		r := embedRequest{Refusals: refusals, model: c.Model}
		body = r.append(make([]byte, 0, len(c.Body)+256), c.Body)
		n, refusals = r.note, r.Refusals
	}
	if refusals.Err != nil {
		return refusals.Err
	}
	c.Req = p.paths[c.Endpoint].WithContext(ctx)
	c.Note = &n
	if p.token != nil {
		token, err := p.token(ctx)
		if err != nil {
			return protocol.NoToken(err)
		}
		c.OwnHeader()["Authorization"] = []string{"Bearer " + token}
	}
	if c.Streamed {
		c.OwnHeader()["Accept"] = []string{"text/event-stream"}
	}
	if body != nil {
		c.SetBody(body)
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

// NamesModel says that the body's name of the model is not read.
func (p *Protocol) NamesModel() {}

// Decode says what a whole answer means.
func (p *Protocol) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	made := protocol.Answer{Reset: protocol.Exhausted(reply.Header, reply.At)}
	if !reply.OK() {
		return p.failed(reply, made)
	}
	switch c.Endpoint {
	case schema.Embeddings:
		return p.decodeEmbeddings(c, reply, made)
	case protocol.ListModels:
		made.Body, made.JSON = reply.Body, rawjson.Valid(reply.Body)
		if !made.JSON {
			return p.failed(reply, made)
		}
		if p.Models(reply.Body) == nil {
			made.Lacks = "the answer is no list of models"
		}
		return made
	}
	a := answer{Answer: newAnswer(c, reply)}
	object, valid := rawjson.Object(reply.Body, a.take)
	if !object || !valid || !a.hasMessage {
		return p.failed(reply, made)
	}
	made.Usage, made.Lacks = a.usage.counted(), a.lacks()
	made.Body, made.JSON = a.append(make([]byte, 0, len(reply.Body)+len(reply.Body)/4+384)), true
	return made
}

// Models returns the names in a list of models.
func (p *Protocol) Models(body []byte) (names []string) {
	translate.Within(body, "models", func(list []byte) {
		names = []string{}
		_, _ = rawjson.Array(list, func(raw []byte) {
			translate.Within(raw, "name", func(name []byte) { names = append(names, rawjson.Text(name)) })
		})
	})
	return names
}
