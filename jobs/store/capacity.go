package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
)

// fullAt is the share of the store above which no new job is taken, so that the
// results of those in hand always fit.
const fullAt = 0.9

// capacity remembers for a while whether the store is nearly full: asking costs a
// round trip, and a client that may not ask waits in vain for the answer.
type capacity struct {
	mu      sync.Mutex
	checked time.Time
	full    bool

	// What the server's store may hold at the least, as was seen at known.
	server  int64
	known   time.Time
	unasked bool // the server cannot, or may not, be asked
}

const (
	usageEvery = 5 * time.Second
	usageTime  = time.Second

	// serverKnown is how long the server's limit is taken for what it was seen to be.
	serverKnown = 10 * time.Minute
)

// Full reports whether the store is nearly full, as far as that is known: no new
// job is taken then.
func (s *Store) Full(ctx context.Context) bool {
	c := &s.capacity
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < usageEvery {
		return c.full
	}
	ctx, cancel := context.WithTimeout(ctx, usageTime)
	defer cancel()
	used, err := s.used(ctx)
	c.checked = time.Now()
	if err == nil {
		c.full = full(used.store, used.most) || s.serverFull(ctx, used)
	}
	return c.full
}

func full(used, most int64) bool { return most > 0 && float64(used) > fullAt*float64(most) }

// usage is what the installation's account takes.
type usage struct {
	store, reserved int64
	most            int64 // 0: the account has no limit
}

func (s *Store) used(ctx context.Context) (usage, error) {
	if s.StoreUsage != nil {
		used, most := s.StoreUsage()
		return usage{store: used, most: most}, nil
	}
	var account *jetstream.AccountInfo
	err := s.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) (err error) {
		account, err = js.AccountInfo(ctx)
		return err
	})
	if err != nil {
		return usage{}, err
	}
	return usage{int64(account.Store), int64(account.ReservedStore), max(0, account.Limits.MaxStore)}, nil
}

// serverFull reports whether so much is used that the server's store is nearly full,
// of which a client is not told: see [jet.Conn.HasRoom]. It asks seldom while there is
// room. What other accounts use is not known. The lock on capacity is held.
func (s *Store) serverFull(ctx context.Context, u usage) bool {
	c := &s.capacity
	if s.StoreUsage != nil || c.unasked {
		return false
	}
	if time.Since(c.known) > serverKnown {
		c.server = 0
	}
	need := int64(float64(u.store) / fullAt)
	if need <= c.server {
		return false
	}
	for _, least := range []int64{2 * max(need, 1<<20), need} {
		room, err := s.c.HasRoom(ctx, least-u.reserved)
		if err != nil {
			c.unasked = !jet.IsTransient(err) && ctx.Err() == nil
			return false
		}
		if room {
			c.server, c.known = least, time.Now()
			return false
		}
	}
	return true
}

// serverLimit measures what the server's store may hold, to a thousandth; 0: it is not
// known.
func (s *Store) serverLimit(ctx context.Context, u usage) int64 {
	if s.StoreUsage != nil {
		return 0
	}
	var low, high int64 = 0, max(u.store, 1<<20)
	for room := true; room; {
		var err error
		if room, err = s.c.HasRoom(ctx, high-u.reserved); err != nil || high > 1<<60 {
			return 0
		}
		if room {
			low, high = high, 2*high
		}
	}
	for high-low > max(high/1000, 1) {
		middle := low + (high-low)/2
		room, err := s.c.HasRoom(ctx, middle-u.reserved)
		switch {
		case err != nil:
			return 0
		case room:
			low = middle
		default:
			high = middle
		}
	}
	return low
}

// Usage returns how many bytes the installation's account uses and may use; a
// limit of 0 means that its clients are told of none.
func (s *Store) Usage(ctx context.Context) (used, most int64, err error) {
	u, err := s.used(ctx)
	return u.store, u.most, err
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
func (s *Storage) Full() bool { return full(s.Bytes, s.MaxBytes) }

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
	ctx, cancel := context.WithTimeout(ctx, 2*usageTime)
	defer cancel()
	if u, err := s.used(ctx); err == nil { // a user who may not ask waits in vain
		all.Bytes, all.MaxBytes = u.store, u.most
		if measure {
			limit := s.serverLimit(ctx, u)
			if limit > 0 && (u.most == 0 || limit < u.most) {
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
