package benchmark

import (
	"context"
	"errors"
	"net/http"

	"github.com/sashabaranov/go-openai"
)

// typed is the same program with go-openai: its structures both ways, and
// otherwise what plain does.
type typed struct {
	client    *openai.Client
	transport *http.Transport
	slots     chan struct{}
}

func newTyped(upstream string, inFlight int) *typed {
	transport := newTransport(inFlight)
	config := openai.DefaultConfig("none")
	config.BaseURL, config.HTTPClient = upstream, &http.Client{Transport: transport}
	return &typed{client: openai.NewClientWithConfig(config), transport: transport, slots: make(chan struct{}, inFlight)}
}

func (t *typed) Close() { t.transport.CloseIdleConnections() }

func (t *typed) Tidy(context.Context) error { return nil }

func (t *typed) Run(ctx context.Context, requests Requests, take func([]byte) error) error {
	return inSlots(ctx, t.slots, requests, take, func(ctx context.Context, i int) ([]byte, error) {
		resp, err := t.client.CreateChatCompletion(ctx, openai.ChatCompletionRequest{
			Model:    model,
			Messages: []openai.ChatCompletionMessage{{Role: openai.ChatMessageRoleUser, Content: message(i)}},
		})
		if err != nil {
			return nil, err
		}
		if len(resp.Choices) == 0 {
			return nil, errors.New("an answer without choices")
		}
		return []byte(resp.Choices[0].Message.Content), nil
	})
}
