package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/capacity"
	"pelton/jobs/store/internal/jet"
)

// Full reports whether the store is nearly full, as far as that is known: no new job
// is taken then.
func (s *Store) Full(ctx context.Context) bool { return s.capacity.Full(ctx) }

// Usage returns how many bytes the installation's account uses and may use; a
// limit of 0 means that its clients are told of none.
func (s *Store) Usage(ctx context.Context) (used, most int64, err error) {
	u, err := s.capacity.Usage(ctx)
	return u.Store, u.Most, err
}

// StreamInfo is what one stream, or the stream under a bucket, takes of the store.
type StreamInfo struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"` // 0: no limit of its own
	InMemory bool   `json:"in_memory,omitempty"`
	Replicas int    `json:"replicas"`
	Missing  bool   `json:"missing,omitempty"` // it is not there
}

// Storage is the store as an installation uses it.
type Storage struct {
	Streams  []StreamInfo `json:"streams"`
	Bytes    int64        `json:"bytes"`     // of the account's streams in files, or of these where it does not say
	MaxBytes int64        `json:"max_bytes"` // of the account, or of the server where that is less; 0: no limit is known
}

// Full reports whether so much is used that no new job is taken.
func (s *Storage) Full() bool { return capacity.Full(s.Bytes, s.MaxBytes) }

// Storage returns how much of the store each stream and bucket of the
// installation takes. With measure it finds out what the server's store may hold,
// which takes some thirty questions. That none is there is [ErrNotSetUp].
func (s *Store) Storage(ctx context.Context, measure bool) (*Storage, error) {
	n := s.c.Names
	var all Storage
	missing := 0
	for _, name := range []string{
		n.JobsStream(), n.WorkStream(), n.ParkedStream(), n.ResultsStream(), n.CancelsStream(),
		stateStream(n), jet.ObjectStream(n.InputBucket()), jet.ObjectStream(n.BodiesBucket()),
	} {
		info, err := s.c.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			all.Streams = append(all.Streams, StreamInfo{Name: name, Missing: true})
			missing++
			continue
		}
		if err != nil {
			return nil, err
		}
		all.Streams = append(all.Streams, StreamInfo{
			Name: name, Messages: info.State.Msgs, Bytes: int64(info.State.Bytes), MaxBytes: max(0, info.Config.MaxBytes),
			InMemory: info.Config.Storage == jetstream.MemoryStorage, Replicas: info.Config.Replicas,
		})
	}
	if missing == len(all.Streams) {
		return nil, jet.ErrNotSetUp
	}
	for _, stream := range all.Streams {
		if !stream.InMemory {
			all.Bytes += stream.Bytes
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*capacity.Time)
	defer cancel()
	if u, err := s.capacity.Usage(ctx); err == nil { // a user who may not ask waits in vain
		all.Bytes, all.MaxBytes = u.Store, u.Most
		if measure {
			limit := s.capacity.ServerLimit(ctx, u)
			if limit > 0 && (u.Most == 0 || limit < u.Most) {
				all.MaxBytes = limit
			}
		}
	}
	return &all, nil
}

// Ready returns why no work could be taken: a stream or the bucket of states is
// missing, or the broker does not answer. It looks for each; nil is all well.
func (s *Store) Ready(ctx context.Context) error {
	n := s.c.Names
	for _, name := range []string{n.JobsStream(), n.WorkStream(), n.ResultsStream(), n.ParkedStream(), n.CancelsStream(), stateStream(n)} {
		_, err := s.c.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("there is no stream %s", name)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return nil
}
