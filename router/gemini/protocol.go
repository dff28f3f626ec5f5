// Package gemini speaks Google's generateContent: to the Gemini API with a key,
// and to Vertex AI with an OAuth token. Chat completions go to generateContent
// and streamGenerateContent, embeddings to batchEmbedContents and predict.
//
// What a body says and Gemini has a place for goes over as it is written, in one
// pass; what has none is refused by name, or left out where the deployment says
// drop_params. No text is added to a prompt. docs/providers.md lists what becomes
// of what.
package gemini

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"pelton/router/credentials"
	"pelton/router/protocol"
	"pelton/schema"
)

// server is one deployment's server. It is never changed.
type server struct {
	vertex  bool
	drop    protocol.Drop
	header  http.Header // of all calls
	address address
	token   func(ctx context.Context) (string, error) // nil: the key is in the header
	google  *credentials.Google                       // whose token that is; nil: it is not Google's
	fixed   map[string]*http.Request                  // by method; nil where the model or the project is known per call alone
	family  family
}

// address is where a server's models are.
type address struct {
	base    string // up to the version, without a slash at its end
	query   string // goes with every call
	project string // Vertex AI's; empty: the credentials'
	place   string // Vertex AI's location; empty: the Gemini API
	express bool   // Vertex AI by a key, which knows its project
}

// methods of a model, as they stand in URLs.
const (
	generate       = ":generateContent"
	generateStream = ":streamGenerateContent"
	embed          = ":batchEmbedContents"
	predict        = ":predict"
)

// New makes the protocol of a deployment of the Gemini API. Key is its API key;
// a BaseURL without a path gets the version v1beta.
func New(u protocol.Upstream) (protocol.Protocol, error) {
	base, query, err := baseOf(u.BaseURL, "https://generativelanguage.googleapis.com", "/v1beta")
	if err != nil {
		return nil, err
	}
	s := &server{drop: u.Drop(), address: address{base: base, query: query}, token: u.Token}
	return s.ready(u)
}

// baseOf is the address of a version of an API.
func baseOf(configured, usual, version string) (base, query string, err error) {
	if configured == "" {
		configured = usual
	}
	base, query, _ = strings.Cut(configured, "?")
	base = strings.TrimRight(base, "/")
	at, err := url.Parse(base)
	if err != nil {
		return "", "", errors.New("api_base is no URL")
	}
	if at.Path == "" {
		base += version
	}
	return base, query, nil
}

// ready makes what all calls of a deployment share.
func (s *server) ready(u protocol.Upstream) (protocol.Protocol, error) {
	s.header = u.FixedHeader()
	if s.token == nil && u.Key != "" {
		setDefault(s.header, "X-Goog-Api-Key", u.Key)
	}
	setDefault(s.header, "Content-Type", "application/json")
	setDefault(s.header, "Accept", "application/json")
	s.family = familyOf(u.Model)
	if strings.Contains(u.Model, "*") || s.vertex && s.address.project == "" && !s.address.express {
		return s, nil
	}
	s.fixed = map[string]*http.Request{}
	for _, method := range []string{generate, generateStream, embed, predict} {
		req, err := s.request(u.Model, method, s.address.project)
		if err != nil {
			return nil, errors.New("api_base or the model's name makes no URL")
		}
		s.fixed[method] = req
	}
	return s, nil
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// request makes the request for one method of a model.
func (s *server) request(model, method, project string) (*http.Request, error) {
	query := s.address.query
	if method == generateStream {
		query = strings.TrimPrefix(query+"&alt=sse", "&")
	}
	at := s.address.of(model, project) + method
	if query != "" {
		at += "?" + query
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, at, nil) // each call has its own
	if err != nil {
		return nil, err
	}
	req.Header = s.header
	if host := s.header.Get("Host"); host != "" {
		req.Host = host
	}
	return req, nil
}

// of is where a model is.
func (a address) of(model, project string) string {
	model = escaped(model)
	switch {
	case a.express:
		return a.base + "/publishers/google/models/" + model
	case a.place == "" && (strings.HasPrefix(model, "models/") || strings.HasPrefix(model, "tunedModels/")):
		return a.base + "/" + model
	case a.place == "":
		return a.base + "/models/" + model
	}
	within := a.base + "/projects/" + url.PathEscape(project) + "/locations/" + url.PathEscape(a.place)
	if tuned, ok := strings.CutPrefix(model, "gemini/"); ok {
		return within + "/endpoints/" + tuned
	}
	return within + "/publishers/google/models/" + model
}

// escaped is a model's name in a path.
func escaped(model string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.PathEscape(model), "%2F", "/"), "%40", "@")
}

func (s *server) Serves(endpoint schema.Endpoint) (ok, streams bool) {
	switch endpoint {
	case schema.ChatCompletions:
		return true, true
	case schema.Embeddings:
		return true, false
	case protocol.ListModels: // Vertex AI lists those of Google alone, to which an account may have no access
		return !s.vertex, false
	}
	return false, false
}

func (s *server) Encode(ctx context.Context, c *protocol.Call) error {
	if c.Endpoint == protocol.ListModels {
		return s.list(ctx, c)
	}
	to := target{family: s.family, vertex: s.vertex, drop: s.drop}
	if s.fixed == nil {
		to.family = familyOf(c.Model)
	}
	method, room := generate, make([]byte, 0, len(c.Body)+len(c.Body)/8+128)
	var body []byte
	var err error
	switch {
	case c.Endpoint == schema.Embeddings:
		if method = embed; s.vertex {
			method = predict
		}
		body, err = encodeEmbeddings(room, c.Body, c.Model, to)
	case c.Streamed:
		method = generateStream
		fallthrough
	default:
		body, err = encodeChat(room, c.Body, to)
	}
	if err != nil {
		return err
	}
	if req := s.fixed[method]; req != nil {
		c.Req = req.WithContext(ctx)
	} else if err := s.make(ctx, c, method); err != nil {
		return err
	}
	if err := s.authorize(ctx, c); err != nil {
		return err
	}
	if c.Streamed {
		c.OwnHeader()["Accept"] = []string{"text/event-stream"}
	}
	c.SetBody(body)
	return nil
}

// make makes a request whose model, or project, the call alone knows.
func (s *server) make(ctx context.Context, c *protocol.Call, method string) error {
	project := s.address.project
	if s.vertex && project == "" && !s.address.express {
		var err error
		if project, err = s.google.Project(ctx); err != nil {
			return protocol.NoToken(err)
		}
	}
	req, err := s.request(c.Model, method, project)
	if err != nil {
		return &schema.Error{
			Class: schema.ClassUpstreamFatal, Code: "invalid_address", Message: "the model " + c.Model + " and api_base make no URL",
		}
	}
	c.Req = req.WithContext(ctx)
	return nil
}

// authorize adds a token where there is one.
func (s *server) authorize(ctx context.Context, c *protocol.Call) error {
	if s.token == nil {
		return nil
	}
	token, err := s.token(ctx)
	if err != nil {
		return protocol.NoToken(err)
	}
	c.OwnHeader()["Authorization"] = []string{"Bearer " + token}
	return nil
}

// list asks for the models of the Gemini API.
func (s *server) list(ctx context.Context, c *protocol.Call) error {
	query := strings.TrimPrefix(s.address.query+"&pageSize=1000", "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address.base+"/models?"+query, nil)
	if err != nil {
		return err
	}
	req.Header = s.header
	c.Req = req
	return s.authorize(ctx, c)
}

func (s *server) Decode(c *protocol.Call, reply protocol.Reply) protocol.Answer {
	reply.Body = bytes.TrimPrefix(reply.Body, []byte("\xef\xbb\xbf"))
	var a protocol.Answer
	switch c.Endpoint {
	case protocol.ListModels:
		a = decodeList(reply)
	case schema.Embeddings:
		a = decodeEmbeddings(c.Body, c.Model, reply)
	default:
		a = decodeChat(c.Body, c.Model, reply)
	}
	if reply.Status == http.StatusUnauthorized && s.google != nil && s.google.Refused() {
		a.Fault.Class = schema.ClassTransient // with another token
	}
	a.Reset = protocol.Exhausted(reply.Header, reply.At)
	return a
}

func decodeList(reply protocol.Reply) protocol.Answer {
	a := protocol.Answer{Body: reply.Body}
	var f protocol.Fault
	f, a.JSON = faultOf(reply.Status, reply.Body, reply.At)
	switch {
	case !reply.OK() || !a.JSON:
		a.Failed, a.Fault = true, f
	case modelNames(reply.Body) == nil:
		a.Lacks = "the answer is no list of models"
	}
	return a
}

func (s *server) Stream(c *protocol.Call, reply protocol.Reply, body io.Reader, limit int64) (protocol.Stream, io.Reader) {
	events := protocol.NewSSE(body, limit)
	if !reply.OK() && !strings.HasPrefix(reply.Header.Get("Content-Type"), "text/event-stream") || !events.Is() {
		return nil, events.Rest()
	}
	return newStream(c, reply, events, limit), nil
}

func (s *server) Models(body []byte) []string { return modelNames(body) }

// NamesModel says that the body's name of the model is not read.
func (s *server) NamesModel() {}

// Secrets are the tokens that an answer might repeat.
func (s *server) Secrets() []string {
	if s.google == nil {
		return nil
	}
	return s.google.Secrets()
}
