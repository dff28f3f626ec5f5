package router

import (
	"context"
	"fmt"

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
