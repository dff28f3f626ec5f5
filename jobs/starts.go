package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// MaxStarts is how often a request is begun after its first delivery without a
// word of how that went, before it is taken for what kills its workers.
const MaxStarts = 4

// CountStart raises the durable count of starts of a request that may have been
// begun before. It is called before the call, so that a worker that dies of it
// has counted. earlier is what was known so far, nil for nothing; the returned
// record is what is known now.
func (b *Broker) CountStart(ctx context.Context, w *Work, earlier *schema.Parked) (*schema.Parked, error) {
	next := schema.Parked{ReadyAt: time.Now().UTC(), LeftMs: w.Timeout.Milliseconds(), Reason: "begun again"}
	if earlier != nil {
		next = *earlier
	}
	next.Starts++
	return &next, b.putParked(ctx, w, &next)
}

// UncountStart takes a start back that ended without an answer though its
// worker lived: by a hard stop, or because the broker could not be reached.
func (b *Broker) UncountStart(ctx context.Context, w *Work, counted *schema.Parked) error {
	next := *counted
	next.Starts--
	return b.putParked(ctx, w, &next)
}

func (b *Broker) putParked(ctx context.Context, w *Work, p *schema.Parked) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	m := nats.NewMsg(b.names.Parked(w.Queue, w.Job, w.Index))
	m.Data = data
	if _, err := b.publish(ctx, asNewer(m), jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("note what is known of request %s: %w", w.Key(), b.explain(err))
	}
	return nil
}
