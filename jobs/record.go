package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
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
	revision, err := b.putRecord(ctx, b.names.StateKey(r.Queue, r.ID), data, r.revision)
	if occupied(err) && r.revision == 0 {
		revision, err = b.putOverRemoved(ctx, b.names.StateKey(r.Queue, r.ID), data, err)
	}
	switch {
	case occupied(err):
		return errFenced
	case err != nil:
		return fmt.Errorf("write the state of job %s: %w", r.ID, b.explain(err))
	}
	r.revision, r.written = revision, started
	return nil
}

// putRecord writes a key of the state bucket as its Update and Create do, but
// without asking for the bucket first, which costs more than the write.
func (b *Broker) putRecord(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	m := nats.NewMsg("$KV." + b.names.StateBucket() + "." + key)
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	m.Data = data
	ack, err := b.publish(ctx, m)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// putOverRemoved writes the record of a job whose id belonged to one that was
// removed: the bucket keeps a note of that. taken is returned where there is none.
func (b *Broker) putOverRemoved(ctx context.Context, key string, data []byte, taken error) (uint64, error) {
	bucket := b.names.StateBucket()
	m, err := b.lastMsg(ctx, "KV_"+bucket, "$KV."+bucket+"."+key)
	if err != nil {
		return 0, err
	}
	if m == nil || m.Header.Get("KV-Operation") == "" {
		return 0, taken
	}
	return b.putRecord(ctx, key, data, m.Sequence)
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
