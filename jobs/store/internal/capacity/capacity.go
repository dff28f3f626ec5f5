// Package capacity knows how full the store of an installation is.
package capacity

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
)

// fullAt is the share of the store above which no new job is taken, so that the
// results of those in hand always fit.
const fullAt = 0.9

// Full reports whether so many bytes of a store are used that no new job is taken. A
// limit of 0 is none.
func Full(used, most int64) bool { return most > 0 && float64(used) > fullAt*float64(most) }

// Capacity remembers for a while whether the store is nearly full: asking costs a
// round trip, and a client that may not ask waits in vain for the answer. Make one
// with [New]. It is safe for concurrent use.
type Capacity struct {
	c    *jet.Conn
	told func() (used, most int64) // nil: the account is asked

	mu      sync.Mutex
	checked time.Time
	full    bool

	// What the server's store may hold at the least, as was seen at known.
	server  int64
	known   time.Time
	unasked bool // the server cannot, or may not, be asked
}

// Time is how long the answer to a question is waited for.
const Time = time.Second

const (
	usageEvery = 5 * time.Second

	// serverKnown is how long the server's limit is taken for what it was seen to be.
	serverKnown = 10 * time.Minute
)

// New returns the capacity of the store behind a connection. told returns the bytes
// used and the most there may be; nil: the account is asked.
func New(c *jet.Conn, told func() (used, most int64)) *Capacity { return &Capacity{c: c, told: told} }

// Full reports whether the store is nearly full, as far as that is known.
func (c *Capacity) Full(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < usageEvery {
		return c.full
	}
	return c.look(ctx)
}

// Look is [Capacity.Full] that asks in any case.
func (c *Capacity) Look(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look(ctx)
}

// look asks. The lock is held.
func (c *Capacity) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, Time)
	defer cancel()
	u, err := c.Usage(ctx)
	c.checked = time.Now()
	if err == nil {
		c.full = Full(u.Store, u.Most) || c.serverFull(ctx, u)
	}
	return c.full
}

// Usage is what the installation's account takes, in bytes.
type Usage struct {
	Store int64 // used in files
	Most  int64 // that it may use; 0: the account has no limit

	reserved int64
}

// Usage asks what the installation's account takes.
func (c *Capacity) Usage(ctx context.Context) (Usage, error) {
	if c.told != nil {
		used, most := c.told()
		return Usage{Store: used, Most: most}, nil
	}
	var account *jetstream.AccountInfo
	err := c.c.Ask(ctx, func(ctx context.Context, js jetstream.JetStream) (err error) {
		account, err = js.AccountInfo(ctx)
		return err
	})
	if err != nil {
		return Usage{}, err
	}
	return Usage{int64(account.Store), max(0, account.Limits.MaxStore), int64(account.ReservedStore)}, nil
}

// serverFull reports whether so much is used that the server's store is nearly full,
// of which a client is not told: see [jet.Conn.HasRoom]. It asks seldom while there is
// room. What other accounts use is not known. The lock is held.
func (c *Capacity) serverFull(ctx context.Context, u Usage) bool {
	if c.told != nil || c.unasked {
		return false
	}
	if time.Since(c.known) > serverKnown {
		c.server = 0
	}
	need := int64(float64(u.Store) / fullAt)
	if need <= c.server {
		return false
	}
	for _, least := range []int64{2 * max(need, 1<<20), need} {
		room, err := c.c.HasRoom(ctx, least-u.reserved)
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

// ServerLimit measures what the server's store may hold, to a thousandth, which takes
// some thirty questions; 0: it is not known.
func (c *Capacity) ServerLimit(ctx context.Context, u Usage) int64 {
	if c.told != nil {
		return 0
	}
	var low, high int64 = 0, max(u.Store, 1<<20)
	for room := true; room; {
		var err error
		if room, err = c.c.HasRoom(ctx, high-u.reserved); err != nil || high > 1<<60 {
			return 0
		}
		if room {
			low, high = high, 2*high
		}
	}
	for high-low > max(high/1000, 1) {
		middle := low + (high-low)/2
		room, err := c.c.HasRoom(ctx, middle-u.reserved)
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
