package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// record is a job's entry in the state bucket: the state that everybody reads,
// and what the next owner must know. Its revision fences: whoever writes it
// with the revision of their last write still owns the job.
type record struct {
	schema.State
	Seq     uint64 `json:"job_seq"`           // of the job's message in the jobs stream
	Hash    string `json:"job_hash"`          // of its content
	Owner   string `json:"owner,omitempty"`   // who writes this record: see [Owner.token]
	Input   string `json:"input,omitempty"`   // the object that holds the requests
	Relayed uint64 `json:"relayed,omitempty"` // how far the relay to reply has come

	trace    string // the producer's traceparent, of the message in hand
	revision uint64
	written  time.Time // before the write that made the revision: the lease runs from then
}

// errFenced means that somebody else has written the record: the job is theirs.
var errFenced = errors.New("another worker owns the job now")

// loadRecord returns a job's record, or nil when there is none.
func (b *Broker) loadRecord(ctx context.Context, queue, job string) (*record, error) {
	// The bucket's own stream, since a bucket's Get may be answered by a copy that
	// is behind: its owner would take it for another's.
	key, bucket := b.names.StateKey(queue, job), b.names.StateBucket()
	m, err := b.lastMsg(ctx, "KV_"+bucket, "$KV."+bucket+"."+key)
	if err != nil {
		return nil, fmt.Errorf("read the state of job %s: %w", job, err)
	}
	if m == nil || m.Header.Get("KV-Operation") != "" { // deleted
		return nil, nil
	}
	return decodeRecord(key, m.Data, m.Sequence)
}

func decodeRecord(key string, data []byte, revision uint64) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("the state record %s is damaged: %w", key, err)
	}
	r.revision = revision
	return &r, nil
}

// saveRecord writes r if its revision is still the last (0: if there is none),
// and notes the new revision. [errFenced] says that it is not.
func (b *Broker) saveRecord(ctx context.Context, r *record) error {
	started := time.Now()
	r.UpdatedAt = started.UTC()
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	data = recordAsNewer(data)
	key := b.names.StateKey(r.Queue, r.ID)
	var revision uint64
	err = b.states(ctx, func(ctx context.Context, kv jetstream.KeyValue) (err error) {
		started = time.Now()
		if r.revision == 0 {
			revision, err = kv.Create(ctx, key, data)
		} else {
			revision, err = kv.Update(ctx, key, data, r.revision)
		}
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyRevisionMismatch), occupied(err):
		return errFenced
	case err != nil:
		return fmt.Errorf("write the state of job %s: %w", r.ID, err)
	}
	r.revision, r.written = revision, started
	return nil
}

// claimed is how a job stands for the process that was given its message.
type claimed int

const (
	claimNew       claimed = iota // nobody had it before
	claimTakeover                 // somebody began it
	claimEnded                    // it has ended
	claimDuplicate                // another message with the same content came first
	claimConflict                 // the id belongs to a job with other content
)

// claim makes owner the owner of the job that want describes, and returns its
// record as it now stands.
func (b *Broker) claim(ctx context.Context, want record, owner string) (*record, claimed, error) {
	for {
		have, err := b.loadRecord(ctx, want.Queue, want.ID)
		if err != nil {
			return nil, 0, err
		}
		how := claimNew
		switch {
		case have == nil:
			fresh := want
			have = &fresh
		case have.Seq == want.Seq && have.State.State.Final():
			return have, claimEnded, nil
		case have.Seq == want.Seq:
			how = claimTakeover
		case have.Hash == want.Hash:
			return have, claimDuplicate, nil
		default:
			return have, claimConflict, nil
		}
		have.Owner = owner
		err = b.saveRecord(ctx, have)
		if errors.Is(err, errFenced) {
			continue // somebody wrote in between: look again
		}
		return have, how, err
	}
}
