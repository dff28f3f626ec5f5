package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"pelton/jobs/store"
	"pelton/schema"
)

// Where a client may not read the jobs stream, whose messages are prompts, a
// worker tells it of the jobs that wait there.

// serviceTime bounds a question to the micro service.
const serviceTime = 10 * time.Second

// servedState is the state of a job as a worker tells it, who has looked in every
// place; [ErrNotFound] when there is none. refused is returned where no worker is
// there to ask.
func servedState(ctx context.Context, b *store.Store, queue, id string, refused error) (*schema.State, error) {
	m, err := askService(ctx, b, "status", queue, []byte(id), refused)
	if err != nil {
		return nil, err
	}
	return schema.ParseState(m.Data)
}

// servedList is the list of a queue's jobs as a worker tells it: the newest that
// fit one message.
func servedList(ctx context.Context, b *store.Store, queue string, refused error) ([]schema.State, error) {
	m, err := askService(ctx, b, "list", queue, nil, refused)
	if err != nil {
		return nil, err
	}
	var states []schema.State
	if err := json.Unmarshal(m.Data, &states); err != nil {
		return nil, fmt.Errorf("the service's list of jobs: %w", err)
	}
	return states, nil
}

func askService(ctx context.Context, b *store.Store, verb, queue string, data []byte, refused error) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	m, err := b.Request(ctx, b.Names.Service(verb, queue), data)
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, ErrDenied) {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	switch code := m.Header.Get(micro.ErrorCodeHeader); code {
	case "":
		return m, nil
	case "404":
		return nil, fmt.Errorf("%w in queue %s", ErrNotFound, queue)
	default:
		return nil, fmt.Errorf("the service could not tell the state: %s %s", code, m.Header.Get(micro.ErrorHeader))
	}
}
