package openai

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	client "github.com/sashabaranov/go-openai"

	"pelton/router/protocol"
	"pelton/schema"
)

// endpoints are those that there is a request for.
var endpoints = []schema.Endpoint{
	schema.ChatCompletions, schema.Responses, schema.Completions, schema.Embeddings, schema.Moderations, protocol.ListModels,
}

// go-openai knows URLs, authorization and Azure's paths. It is asked once per
// deployment and endpoint for the request that it would send; of that a call
// takes everything but the body. Its types are not used for more: they lose
// fields in both directions.

// errCaptured keeps go-openai from sending anything.
var errCaptured = errors.New("request captured")

// template is go-openai's HTTP client: it keeps the request.
type template struct{ req *http.Request }

func (t *template) Do(req *http.Request) (*http.Response, error) {
	t.req = req
	return nil, errCaptured
}

// placeholderModel is the model that go-openai is told of. It refuses parameters
// by model name, and some names per endpoint; the body has the real one. In
// Azure's paths it stands where the deployment's name goes.
const placeholderModel = "pelton-model"

// templates makes the requests of a deployment, by endpoint.
func templates(u protocol.Upstream, azure bool) (map[schema.Endpoint]*http.Request, error) {
	config := client.DefaultConfig(u.Key)
	if azure {
		config = client.DefaultAzureConfig(u.Key, u.BaseURL)
		config.APIVersion = u.Settings["api_version"]
		config.AzureModelMapperFunc = nil // the default one changes names
		if u.Key == "" {
			config.APIType = client.APITypeAzureAD // no api-key header; the token is ours to set
		}
	}
	config.BaseURL, config.OrgID = u.BaseURL, u.Settings["organization"]
	fixed := fixedHeader(u, azure)
	all := map[schema.Endpoint]*http.Request{}
	for _, endpoint := range endpoints {
		var made template
		config.HTTPClient = &made
		if err := build(client.NewClientWithConfig(config), endpoint); made.req == nil {
			return nil, fmt.Errorf("endpoint %s: %w", endpoint, err)
		}
		req := made.req
		maps.Copy(req.Header, fixed)
		if host := req.Header.Get("Host"); host != "" { // net/http takes it from here only
			req.Host = host
		}
		if azure && !strings.Contains(u.Model, "*") {
			req.URL = withModel(req.URL, u.Model)
		}
		all[endpoint] = req
	}
	return all, nil
}

// build has go-openai make a request of the endpoint.
func build(c *client.Client, endpoint schema.Endpoint) (err error) {
	ctx := context.Background()
	switch endpoint {
	case schema.ChatCompletions:
		_, err = c.CreateChatCompletion(ctx, client.ChatCompletionRequest{Model: placeholderModel})
	case schema.Responses:
		_, err = c.CreateResponse(ctx, client.CreateResponseRequest{Model: placeholderModel})
	case schema.Completions:
		_, err = c.CreateCompletion(ctx, client.CompletionRequest{Model: placeholderModel, Prompt: ""})
	case schema.Embeddings:
		_, err = c.CreateEmbeddings(ctx, client.EmbeddingRequest{Model: placeholderModel})
	case schema.Moderations: // a model that it does not know would be refused
		_, err = c.Moderations(ctx, client.ModerationRequest{})
	case protocol.ListModels:
		_, err = c.ListModels(ctx)
	}
	return err
}

// withModel puts a model's name where Azure's paths want it.
func withModel(u *url.URL, model string) *url.URL {
	if !strings.Contains(u.Path, placeholderModel) {
		return u
	}
	made := *u
	made.Path = strings.Replace(u.Path, placeholderModel, model, 1)
	made.RawPath = strings.Replace(u.EscapedPath(), placeholderModel, url.PathEscape(model), 1)
	return &made
}

// fixedHeader is what each request carries, whatever go-openai thinks.
func fixedHeader(u protocol.Upstream, azure bool) http.Header {
	fixed := http.Header{}
	if project := u.Settings["project"]; project != "" {
		fixed.Set("OpenAI-Project", project)
	}
	if token := u.Settings["azure_ad_token"]; azure && token != "" {
		fixed.Set("Authorization", "Bearer "+token)
	}
	maps.Copy(fixed, u.FixedHeader())
	return fixed
}
