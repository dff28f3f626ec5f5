package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// leaseKey is the record's key in the bucket.
const leaseKey = "coordinator"

// lease is the right to coordinate, as its holder has it.
type lease struct {
	kv       jetstream.KeyValue
	id, name string
	epoch    uint64
	revision uint64
	until    time.Time      // it ends then
	members  []memberRecord // as the predecessor left them
	first    bool           // there was no predecessor
	lost     bool           // there was one, but its record is gone
}

// openBucket returns the fleet's bucket, and makes it if it is not there.
func openBucket(ctx context.Context, js jetstream.JetStream, bucket string, replicas int) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: bucket, History: 1, Replicas: replicas,
			Description: "Pelton: who coordinates the limits of the fleet",
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody was quicker, with other settings
			kv, err = js.KeyValue(ctx, bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return kv, nil
}

// openBucketUntil is openBucket that waits, until ctx ends, for a cluster that is
// still starting.
func openBucketUntil(ctx context.Context, js jetstream.JetStream, bucket string, replicas int) (jetstream.KeyValue, error) {
	for {
		kv, err := openBucket(ctx, js, bucket, replicas)
		var api *jetstream.APIError
		young := errors.Is(err, jetstream.ErrNoStreamResponse) ||
			errors.As(err, &api) && api.Code == 503 && !strings.Contains(api.Description, "not enabled")
		if err == nil || !young {
			return kv, err
		}
		timer := time.NewTimer(renewRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w (gave up: %w)", err, context.Cause(ctx))
		}
	}
}

// readLease returns the record as it stands and its revision; 0 means that
// there is none.
func readLease(ctx context.Context, kv jetstream.KeyValue) (record, uint64, error) {
	var r record
	entry, err := kv.Get(ctx, leaseKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return r, 0, nil
	}
	if err != nil {
		return r, 0, err
	}
	if err := json.Unmarshal(entry.Value(), &r); err != nil {
		return r, 0, fmt.Errorf("the coordinator's record cannot be read: %w", err)
	}
	return r, entry.Revision(), nil
}

// errTaken means that somebody else was quicker.
var errTaken = errors.New("the lease is another's")

// takeLease overwrites the record at the given revision, 0 for none, which the
// caller knows to be free. known is the last epoch it has heard of.
func takeLease(ctx context.Context, f *Fleet, was record, revision, known uint64) (*lease, error) {
	l := &lease{
		kv: f.kv(), id: f.id, name: f.name, members: was.Members,
		epoch: max(was.Epoch+1, known+1, uint64(time.Now().UnixMilli())), // later than all, even where the record was lost
		first: revision == 0 && known == 0,
		lost:  revision == 0 && known != 0,
	}
	data, err := json.Marshal(record{ID: l.id, Name: l.name, Epoch: l.epoch, Members: l.members})
	if err != nil {
		return nil, err
	}
	sent := time.Now()
	if revision == 0 {
		l.revision, err = l.kv.Create(ctx, leaseKey, data)
	} else {
		l.revision, err = l.kv.Update(ctx, leaseKey, data, revision)
	}
	if err != nil {
		return nil, taken(err)
	}
	l.until = sent.Add(LeaseTerm)
	return l, nil
}

func taken(err error) error {
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
		return errTaken
	}
	return err
}

// renew writes the record and lengthens the lease, or gives it up.
func (l *lease) renew(ctx context.Context, members []memberRecord, release bool) error {
	data, err := json.Marshal(record{ID: l.id, Name: l.name, Epoch: l.epoch, Released: release, Members: members})
	if err != nil {
		return err
	}
	for range 2 {
		sent := time.Now()
		revision, err := l.kv.Update(ctx, leaseKey, data, l.revision)
		if err == nil {
			l.revision, l.until = revision, sent.Add(LeaseTerm)
			return nil
		}
		if err = taken(err); !errors.Is(err, errTaken) {
			return err
		}
		// It may be our own write, whose acknowledgement was lost.
		is, revision, err := readLease(ctx, l.kv)
		if err != nil {
			return err
		}
		if is.ID != l.id || is.Epoch != l.epoch || is.Released {
			return errTaken
		}
		l.revision = revision
	}
	return errTaken
}
