package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"

	openai "github.com/sashabaranov/go-openai"

	"pelton/schema"
)

// listModels is the endpoint of a check.
const listModels schema.Endpoint = "/v1/models"

// endpoints are those that a deployment has a request for.
var endpoints = []schema.Endpoint{
	schema.ChatCompletions, schema.Responses, schema.Completions, schema.Embeddings, schema.Moderations, listModels,
}

// go-openai knows URLs, authorization and Azure's paths. It is asked once per
// deployment and endpoint for the request that it would send; of that a call
// takes everything but the body. Its types are not used for more: they lose
// fields in both directions.

// errCaptured keeps go-openai from sending anything.
var errCaptured = errors.New("request captured")

// capture is go-openai's HTTP client.
type capture struct{ req *http.Request }

func (c *capture) Do(req *http.Request) (*http.Response, error) {
	c.req = req
	return nil, errCaptured
}

// neutralModel is the model that go-openai is told of. It refuses parameters
// by model name, and some names per endpoint; the body has the real one. In
// Azure's paths it stands where the deployment's name goes.
const neutralModel = "pelton-model"

// templates makes the requests of d, by endpoint.
func (d *deployment) templates() (map[schema.Endpoint]*http.Request, error) {
	config := openai.DefaultConfig(d.APIKey.Reveal())
	if d.Azure {
		config = openai.DefaultAzureConfig(d.APIKey.Reveal(), d.BaseURL)
		config.APIVersion = d.APIVersion
		config.AzureModelMapperFunc = nil // the default one changes names
		if d.APIKey.Empty() {
			config.APIType = openai.APITypeAzureAD // no api-key header; the token is ours to set
		}
	}
	config.BaseURL, config.OrgID = d.BaseURL, d.Organization
	fixed := d.fixedHeader()
	all := map[schema.Endpoint]*http.Request{}
	for _, endpoint := range endpoints {
		var got capture
		config.HTTPClient = &got
		client := openai.NewClientWithConfig(config)
		if err := ask(client, endpoint); got.req == nil {
			return nil, fmt.Errorf("endpoint %s: %w", endpoint, err)
		}
		req := got.req
		maps.Copy(req.Header, fixed)
		if host := req.Header.Get("Host"); host != "" { // net/http takes it from here only
			req.Host = host
		}
		if d.Azure && !strings.Contains(d.Model, "*") {
			req.URL = withModel(req.URL, d.Model)
		}
		all[endpoint] = req
	}
	return all, nil
}

// ask has go-openai make a request of the endpoint.
func ask(client *openai.Client, endpoint schema.Endpoint) (err error) {
	ctx := context.Background()
	switch endpoint {
	case schema.ChatCompletions:
		_, err = client.CreateChatCompletion(ctx, openai.ChatCompletionRequest{Model: neutralModel})
	case schema.Responses:
		_, err = client.CreateResponse(ctx, openai.CreateResponseRequest{Model: neutralModel})
	case schema.Completions:
		_, err = client.CreateCompletion(ctx, openai.CompletionRequest{Model: neutralModel, Prompt: ""})
	case schema.Embeddings:
		_, err = client.CreateEmbeddings(ctx, openai.EmbeddingRequest{Model: neutralModel})
	case schema.Moderations: // a model that it does not know would be refused
		_, err = client.Moderations(ctx, openai.ModerationRequest{})
	case listModels:
		_, err = client.ListModels(ctx)
	}
	return err
}

// withModel puts a model's name where Azure's paths want it.
func withModel(u *url.URL, model string) *url.URL {
	if !strings.Contains(u.Path, neutralModel) {
		return u
	}
	made := *u
	made.Path = strings.Replace(u.Path, neutralModel, model, 1)
	made.RawPath = strings.Replace(u.EscapedPath(), neutralModel, url.PathEscape(model), 1)
	return &made
}

// fixedHeader is what each request of d carries, whatever go-openai thinks.
func (d *deployment) fixedHeader() http.Header {
	fixed := http.Header{"User-Agent": {"pelton"}}
	if d.Project != "" {
		fixed.Set("OpenAI-Project", d.Project)
	}
	if d.Azure && !d.Token.Empty() {
		fixed.Set("Authorization", "Bearer "+d.Token.Reveal())
	}
	for name, value := range d.Headers {
		fixed.Set(name, value.Reveal())
	}
	return fixed
}

// call sends the cell's body to the endpoint of d and fills the cell in. The
// error says why nothing was sent; what happened on the wire is in the cell.
//
// The transport is called directly, and so no redirect is followed: neither key
// nor prompt goes to an address that nobody configured. Nor does anything here
// try twice; net/http repeats a POST only when not one byte of it was sent.
func (d *deployment) call(ctx context.Context, endpoint schema.Endpoint, model string, c *cell) error {
	if endpoint == "" {
		endpoint = schema.ChatCompletions
	}
	template := d.requests[endpoint]
	if template == nil {
		return fmt.Errorf("unknown endpoint %q", endpoint)
	}
	req := template.WithContext(ctx)
	if d.Azure && model != "" {
		req.URL = withModel(req.URL, model)
	}
	if len(c.header) > 0 || d.token != nil || c.stream != nil {
		req.Header = req.Header.Clone() // else it is shared by all calls
		if c.stream != nil {
			req.Header["Accept"] = []string{"text/event-stream"}
		}
		for name, values := range c.header {
			if _, set := req.Header[name]; !set {
				req.Header[name] = values
			}
		}
		if d.token != nil {
			token, err := d.token.get(ctx)
			if err != nil {
				return &tokenError{err}
			}
			req.Header["Authorization"] = []string{"Bearer " + token}
		}
	}
	if c.body != nil {
		c.setBody(req)
	}
	c.sent = true
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		c.err = err
		return nil
	}
	c.status, c.answer = resp.StatusCode, resp.Header
	body := resp.Body
	if c.stream != nil {
		c.stream.read(c, resp, d.limit)
	} else {
		c.read(resp, d.limit)
	}
	_ = body.Close()
	return nil
}

// setBody makes the cell's bytes the request's body.
func (c *cell) setBody(req *http.Request) {
	c.reader.Reset(c.body)
	req.Body = c
	req.ContentLength = int64(len(c.body))
	req.GetBody = c.again
}

// The cell is the body of its request, so that this costs no memory of its own.
func (c *cell) Read(p []byte) (int, error)         { return c.reader.Read(p) }
func (c *cell) WriteTo(w io.Writer) (int64, error) { return c.reader.WriteTo(w) }
func (c *cell) Close() error                       { return nil }
