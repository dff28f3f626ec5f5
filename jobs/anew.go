package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"pelton/schema"
)

// anew publishes a job that the broker took for a duplicate, if the job that it
// has in mind is there no more: for two minutes the broker knows the ids of
// messages that were removed since, or have aged out, and would not store the
// job. It reports whether it did.
func (c *Client) anew(ctx context.Context, h *Handle, job *schema.Job, data []byte, retryOf string) (bool, error) {
	if _, err := h.State(ctx); !errors.Is(err, ErrNotFound) {
		return false, nil // it is there, or this is not for us to know
	}
	m := c.jobMsg(job, data, nuid.Next(), retryOf)
	ctx, cancel := context.WithTimeout(ctx, ackTime)
	defer cancel()
	if _, err := c.b.publish(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
		return false, fmt.Errorf("publish the job: %w", c.b.explain(fullStore(err)))
	}
	return true, nil
}
