package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// fullAt is the share of the store above which no new job is taken, so that the
// results of those in hand always fit.
const fullAt = 0.9

// fill remembers for a while whether the store is nearly full: asking costs a
// round trip, and a client that may not ask waits in vain for the answer.
type fill struct {
	mu    sync.Mutex
	asked time.Time
	full  bool
}

const (
	askFillEvery = 5 * time.Second
	askFillFor   = time.Second
)

// nearlyFull reports whether the store is nearly full, as far as that is known.
func (b *Broker) nearlyFull(ctx context.Context) bool {
	b.fill.mu.Lock()
	defer b.fill.mu.Unlock()
	if time.Since(b.fill.asked) < askFillEvery {
		return b.fill.full
	}
	ctx, cancel := context.WithTimeout(ctx, askFillFor)
	defer cancel()
	used, most, err := b.Store(ctx)
	b.fill.asked = time.Now()
	if err == nil {
		b.fill.full = most > 0 && float64(used) > fullAt*float64(most)
	}
	return b.fill.full
}

// Store returns how many bytes the installation's account uses and may use; a
// limit of 0 means that there is none.
func (b *Broker) Store(ctx context.Context) (used, most int64, err error) {
	if b.set.StoreUsage != nil {
		used, most = b.set.StoreUsage()
		return used, most, nil
	}
	var account *jetstream.AccountInfo
	err = b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) (err error) {
		account, err = js.AccountInfo(ctx)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return int64(account.Store), max(0, account.Limits.MaxStore), nil
}
