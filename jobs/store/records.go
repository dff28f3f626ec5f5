package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Record is a job's entry in the state bucket: the state that everybody reads,
// and what the next owner must know. Its revision fences: an owner that writes it
// with the revision of its last write still owns the job.
type Record struct {
	schema.State
	Seq     uint64 `json:"job_seq"`           // of the job's message in the jobs stream
	Hash    string `json:"job_hash"`          // of its content: see [Jobs.Identify]
	Owner   string `json:"owner,omitempty"`   // the owner that writes this record
	Input   string `json:"input,omitempty"`   // the object that holds the requests
	Relayed uint64 `json:"relayed,omitempty"` // how far the relay to reply has come

	Trace    string    `json:"-"` // the producer's traceparent, of the message in hand
	Revision uint64    `json:"-"` // of the last write or read; 0: there is no record
	Written  time.Time `json:"-"` // before the write that made the revision: the lease runs from then
}

// Key names the record's job.
func (r *Record) Key() JobKey { return JobKey{r.Queue, r.ID} }

// Records are the states of jobs, in a key-value bucket.
type Records struct{ c *jet.Conn }

func stateStream(n schema.Names) string { return "KV_" + n.StateBucket() }

func stateSubject(n schema.Names, queue, job string) string {
	return "$KV." + n.StateBucket() + "." + n.StateKey(queue, job)
}

// deleted reports whether a message of a bucket notes that its key was removed.
func deleted(m *jetstream.RawStreamMsg) bool { return m.Header.Get("KV-Operation") != "" }

// withBucket gives the state bucket to f.
func (s *Records) withBucket(ctx context.Context, f func(context.Context, jetstream.KeyValue) error) error {
	return s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		kv, err := js.KeyValue(ctx, s.c.Names.StateBucket())
		if err != nil {
			return err
		}
		return f(ctx, kv)
	}, "$KV."+s.c.Names.StateBucket()+".>")
}

// Load returns a job's record, or nil when there is none.
func (s *Records) Load(ctx context.Context, queue, job string) (*Record, error) {
	// The bucket's own stream, since a bucket's Get may be answered by a copy that
	// is behind: its owner would take it for another's.
	m, err := s.c.LastMsg(ctx, stateStream(s.c.Names), stateSubject(s.c.Names, queue, job))
	if err != nil {
		return nil, fmt.Errorf("read the state of job %s: %w", job, err)
	}
	if m == nil || deleted(m) {
		return nil, nil
	}
	return decodeRecord(s.c.Names.StateKey(queue, job), m.Data, m.Sequence)
}

// LoadSteadily is [Records.Load] through a change of leaders in a cluster.
func (s *Records) LoadSteadily(ctx context.Context, queue, job string) (rec *Record, err error) {
	err = s.c.Steadily(ctx, stateStream(s.c.Names), func(ctx context.Context) (err error) {
		rec, err = s.Load(ctx, queue, job)
		return err
	})
	return rec, err
}

func decodeRecord(key string, data []byte, revision uint64) (*Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("the state record %s is damaged: %w", key, err)
	}
	r.Revision = revision
	return &r, nil
}

// List returns the states of a queue's jobs that have a record, in no order. A
// queue of "*" means all.
func (s *Records) List(ctx context.Context, queue string) (states []schema.State, err error) {
	err = s.withBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		watch, err := kv.Watch(ctx, s.c.Names.StateKey(queue, "*"), jetstream.IgnoreDeletes())
		if err != nil {
			return err
		}
		defer func() { _ = watch.Stop() }()
		for entry := range watch.Updates() {
			if entry == nil { // all that was there
				return nil
			}
			rec, err := decodeRecord(entry.Key(), entry.Value(), entry.Revision())
			if err != nil {
				return err
			}
			states = append(states, rec.State)
		}
		return context.Cause(ctx)
	})
	return states, err
}

// Watch calls each for every record that is there and then for every change,
// until ctx ends or watching fails: rec is nil for a job that was removed, and err
// set for a record that cannot be read. caughtUp is called once, when each has
// been called for all that was there. Calls come one after the other.
func (s *Records) Watch(ctx context.Context, each func(key string, rec *Record, err error), caughtUp func()) error {
	var watch jetstream.KeyWatcher
	err := s.withBucket(ctx, func(_ context.Context, kv jetstream.KeyValue) (err error) {
		watch, err = kv.WatchAll(ctx)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watch.Updates():
			switch {
			case !ok && ctx.Err() != nil:
				return nil
			case !ok:
				return errors.New("the watch of the states has ended")
			case entry == nil:
				caughtUp()
			case entry.Operation() != jetstream.KeyValuePut:
				each(entry.Key(), nil, nil)
			default:
				rec, err := decodeRecord(entry.Key(), entry.Value(), entry.Revision())
				each(entry.Key(), rec, err)
			}
		}
	}
}

// Save writes rec if its revision is still the last (0: if there is none), and
// notes the new revision. [ErrFenced] says that it is not.
func (s *Records) Save(ctx context.Context, rec *Record) error {
	started := time.Now()
	rec.UpdatedAt = started.UTC()
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	subject := stateSubject(s.c.Names, rec.Queue, rec.ID)
	revision, err := s.put(ctx, subject, data, rec.Revision)
	if jet.IsWrongLastSeq(err) && rec.Revision == 0 {
		revision, err = s.putOverRemoved(ctx, subject, data, err)
	}
	switch {
	case jet.IsWrongLastSeq(err):
		return ErrFenced
	case err != nil:
		return fmt.Errorf("write the state of job %s: %w", rec.ID, jet.Explain(err))
	}
	rec.Revision, rec.Written = revision, started
	return nil
}

// put writes a key of the state bucket as its Update and Create do, but without
// asking for the bucket first, which costs more than the write.
func (s *Records) put(ctx context.Context, subject string, data []byte, revision uint64) (uint64, error) {
	m := nats.NewMsg(subject)
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	m.Data = data
	ack, err := s.c.Publish(ctx, m)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// putOverRemoved writes the record of a job whose id belonged to one that was
// removed: the bucket keeps a note of that. It returns taken where there is none.
func (s *Records) putOverRemoved(ctx context.Context, subject string, data []byte, taken error) (uint64, error) {
	m, err := s.c.LastMsg(ctx, stateStream(s.c.Names), subject)
	if err != nil {
		return 0, err
	}
	if m == nil || !deleted(m) {
		return 0, taken
	}
	return s.put(ctx, subject, data, m.Sequence)
}

// Close writes a record whose state has become final, until it is written or
// turns out to be somebody else's, which is [ErrFenced].
func (s *Records) Close(ctx context.Context, rec *Record) error {
	now := time.Now().UTC()
	rec.FinishedAt, rec.Owner, rec.InFlight, rec.ETASeconds = &now, "", 0, nil
	return s.c.UntilStored(ctx, rec.ID, "write the final state", ErrFenced, func(ctx context.Context) error {
		err := s.Save(ctx, rec)
		if !errors.Is(err, ErrFenced) {
			return err
		}
		// Ours after all, when the answer to an earlier try was lost.
		have, err := s.Load(ctx, rec.Queue, rec.ID)
		if err == nil && (have == nil || have.FinishedAt == nil || !have.FinishedAt.Equal(now)) {
			return ErrFenced
		}
		return err
	})
}

// Claim is how a job stands for the process that was given its message.
type Claim int

const (
	ClaimNew       Claim = iota // nobody had it before
	ClaimTakeover               // somebody began it
	ClaimEnded                  // it has ended
	ClaimDuplicate              // another message with the same content came first
	ClaimConflict               // the id belongs to a job with other content
)

// Claim makes owner the owner of the job that want describes, and returns its
// record as it now stands.
func (s *Records) Claim(ctx context.Context, want Record, owner string) (*Record, Claim, error) {
	for {
		have, err := s.Load(ctx, want.Queue, want.ID)
		if err != nil {
			return nil, 0, err
		}
		how := ClaimNew
		switch {
		case have == nil:
			fresh := want
			have = &fresh
		case have.Seq == want.Seq && have.State.State.Final():
			return have, ClaimEnded, nil
		case have.Seq == want.Seq:
			how = ClaimTakeover
		case have.Hash == want.Hash:
			return have, ClaimDuplicate, nil
		default:
			return have, ClaimConflict, nil
		}
		have.Owner = owner
		err = s.Save(ctx, have)
		if errors.Is(err, ErrFenced) {
			continue // somebody wrote in between: look again
		}
		return have, how, err
	}
}
