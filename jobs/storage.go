package jobs

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

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
	MaxBytes int64        `json:"max_bytes"` // of the account; 0: no limit that its clients are told of
}

// Full reports whether so much is used that no new job is taken.
func (s *Storage) Full() bool {
	return s.MaxBytes > 0 && float64(s.Bytes) > fullAt*float64(s.MaxBytes)
}

// Storage tells how much of the store each stream and bucket of the
// installation takes. That none is there is [ErrNotSetUp].
func (c *Client) Storage(ctx context.Context) (*Storage, error) {
	b, n := c.b, c.b.names
	var s Storage
	missing := 0
	for _, name := range []string{
		n.JobsStream(), n.WorkStream(), n.ParkedStream(), n.ResultsStream(), n.CancelsStream(),
		"KV_" + n.StateBucket(), objectStream(n.InputBucket()), objectStream(n.BodiesBucket()),
	} {
		var info *jetstream.StreamInfo
		err := b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, name)
			if err == nil {
				info = stream.CachedInfo()
			}
			return err
		})
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			s.Streams = append(s.Streams, StreamInfo{Name: name, Missing: true})
			missing++
			continue
		}
		if err != nil {
			return nil, err
		}
		s.Streams = append(s.Streams, StreamInfo{
			Name: name, Messages: info.State.Msgs, Bytes: int64(info.State.Bytes), MaxBytes: max(0, info.Config.MaxBytes),
			InMemory: info.Config.Storage == jetstream.MemoryStorage, Replicas: info.Config.Replicas,
		})
	}
	if missing == len(s.Streams) {
		return nil, ErrNotSetUp
	}
	for _, stream := range s.Streams {
		if !stream.InMemory {
			s.Bytes += stream.Bytes
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askFillFor)
	defer cancel()
	if used, most, err := b.Store(ctx); err == nil { // who may not ask waits in vain
		s.Bytes, s.MaxBytes = used, most
	}
	return &s, nil
}
