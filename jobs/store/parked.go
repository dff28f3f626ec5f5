package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// MaxStarts is how often a request is begun after its first delivery without a
// word of how that went, before it is taken for what kills its workers.
const MaxStarts = 4

// Parked is what is known of requests that wait to be called again, or may have
// been begun before: their attempts and starts so far.
type Parked struct{ c *jet.Conn }

// Put stores what is known of a request.
func (s *Parked) Put(ctx context.Context, job JobKey, index int, p *schema.Parked) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	m := nats.NewMsg(s.c.Names.Parked(job.Queue, job.ID, index))
	m.Data = data
	if err := s.c.PublishOnce(ctx, m); err != nil {
		return fmt.Errorf("note what is known of request %s.%s.%d: %w", job.Queue, job.ID, index, jet.Explain(err))
	}
	return nil
}

// Get returns what is known of a request's earlier attempts and starts, nil for
// nothing.
func (s *Parked) Get(ctx context.Context, queue, job string, index int) (*schema.Parked, error) {
	m, err := s.c.LastMsg(ctx, s.c.Names.ParkedStream(), s.c.Names.Parked(queue, job, index))
	if m == nil || err != nil {
		return nil, err
	}
	return schema.ParseParked(m.Data)
}

// Each calls f with what is known now of those of a job's requests that of names.
func (s *Parked) Each(ctx context.Context, queue, job string, of func(index int) bool, f func(index int, p *schema.Parked)) error {
	r := s.c.NewReader(s.c.Names.ParkedStream(), s.c.Names.ParkedOf(queue, job), 0, false)
	return r.ReadStored(ctx, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		at, ok := s.c.Names.Parse("parked", m.Subject())
		if !ok || !of(at.Index) {
			return nil
		}
		p, err := schema.ParseParked(m.Data())
		if err != nil {
			return fmt.Errorf("%s: %w", m.Subject(), err)
		}
		f(at.Index, p)
		return nil
	})
}

// Purge removes what is known of a job's requests.
func (s *Parked) Purge(ctx context.Context, queue, job string) error {
	return s.c.Purge(ctx, s.c.Names.ParkedStream(), s.c.Names.ParkedOf(queue, job))
}

// CountStart raises the durable count of starts of a request that may have been
// begun before. It is called before the call, so that a worker that dies of it
// has counted. earlier is what was known so far, nil for nothing, and left what
// is left of the request's timeout then; the returned record is what is known now.
func (s *Parked) CountStart(ctx context.Context, job JobKey, index int, left time.Duration, earlier *schema.Parked) (*schema.Parked, error) {
	next := schema.Parked{ReadyAt: time.Now().UTC(), LeftMs: left.Milliseconds(), Reason: "begun again"}
	if earlier != nil {
		next = *earlier
	}
	next.Starts++
	return &next, s.Put(ctx, job, index, &next)
}

// UncountStart takes a start back that ended without an answer though its
// worker lived: by a hard stop, or because the broker could not be reached.
func (s *Parked) UncountStart(ctx context.Context, job JobKey, index int, counted *schema.Parked) error {
	next := *counted
	next.Starts--
	return s.Put(ctx, job, index, &next)
}
