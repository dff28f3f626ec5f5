package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

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

// Any reports whether anything is known of any of a job's requests.
func (s *Parked) Any(ctx context.Context, queue, job string) (bool, error) {
	info, err := s.c.Subjects(ctx, s.c.Names.ParkedStream(), s.c.Names.ParkedOf(queue, job))
	if err != nil {
		return false, err
	}
	return len(info.State.Subjects) > 0, nil
}

// Purge removes what is known of a job's requests.
func (s *Parked) Purge(ctx context.Context, queue, job string) error {
	return s.c.Purge(ctx, s.c.Names.ParkedStream(), s.c.Names.ParkedOf(queue, job))
}

// Change has f change what is known of a request, and stores that unless f returns
// false. f is given a record that it may change, empty where nothing is known, and is
// called again where another process has written meanwhile. The returned record is
// what is known now.
func (s *Parked) Change(ctx context.Context, job JobKey, index int, f func(p *schema.Parked) bool) (*schema.Parked, error) {
	subject := s.c.Names.Parked(job.Queue, job.ID, index)
	for {
		have, err := s.c.LastMsg(ctx, s.c.Names.ParkedStream(), subject)
		if err != nil {
			return nil, err
		}
		m, p := jet.ExpectNew(nats.NewMsg(subject)), &schema.Parked{}
		if have != nil {
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(have.Sequence, 10))
			if p, err = schema.ParseParked(have.Data); err != nil {
				return nil, fmt.Errorf("%s: %w", subject, err)
			}
		}
		if !f(p) {
			return p, nil
		}
		p.Starts = len(p.Begun)
		if m.Data, err = json.Marshal(p); err != nil {
			return nil, err
		}
		err = s.c.PublishOnce(ctx, m)
		if err == nil {
			return p, nil
		}
		if !jet.IsWrongLastSeq(err) {
			return nil, fmt.Errorf("note what is known of request %s.%s.%d: %w", job.Queue, job.ID, index, jet.Explain(err))
		}
	}
}
