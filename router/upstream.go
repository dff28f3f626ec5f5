package router

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	openai "github.com/sashabaranov/go-openai"

	"pelton/schema"
)

// neutralModel is the model that go-openai is told of. It refuses parameters
// by model name, and some names per endpoint; the body has the real one.
const neutralModel = "m"

// call sends the cell's body to the endpoint of d and fills the cell in. The
// error is go-openai's own refusal to build the request; what happened on the
// wire is in the cell.
func (d *deployment) call(ctx context.Context, endpoint schema.Endpoint, c *cell) error {
	ctx = withCell(ctx, c)
	var err error
	switch endpoint {
	case schema.ChatCompletions, "":
		_, err = d.client.CreateChatCompletion(ctx, openai.ChatCompletionRequest{Model: neutralModel})
	case schema.Responses:
		_, err = d.client.CreateResponse(ctx, openai.CreateResponseRequest{Model: neutralModel})
	case schema.Completions:
		_, err = d.client.CreateCompletion(ctx, openai.CompletionRequest{Model: neutralModel, Prompt: ""})
	case schema.Embeddings:
		_, err = d.client.CreateEmbeddings(ctx, openai.EmbeddingRequest{Model: neutralModel})
	case schema.Moderations: // a model that it does not know would be refused
		_, err = d.client.Moderations(ctx, openai.ModerationRequest{})
	default:
		err = fmt.Errorf("unknown endpoint %q", endpoint)
	}
	if c.status != 0 || c.err != nil {
		return nil
	}
	return err
}

// newTransport returns the transport that all deployments share. It keeps one
// idle connection per call that may run at once, so that no burst pays for new
// handshakes. There is no bound on the wait for an answer's first byte: a
// completion arrives whole, and the attempt's timeout covers it.
func newTransport(conns int) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   conns,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		// A peer that vanished is found by pings: many calls share the connection.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
