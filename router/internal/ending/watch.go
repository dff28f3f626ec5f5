package ending

import (
	"context"
	"sync"
	"time"

	"pelton/router/internal/tally"
)

// Watch ends a call of a group of which nothing was known when it began, by what is
// learned meanwhile. Its methods are safe for concurrent use.
type Watch struct {
	calls     *tally.CallTimes
	began     time.Time
	doublings int
	what      string
	cancel    context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// NewWatch watches a call that began then, and returns its context. calls is what is
// learned; the call may take as long, doublings times doubled; what is [TimeUp]'s What.
// [Watch.End] gives up what it holds.
func NewWatch(ctx context.Context, calls *tally.CallTimes, began time.Time, doublings int, what string) (context.Context, *Watch) {
	w := &Watch{calls: calls, began: began, doublings: doublings, what: what}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(tally.LeastBound, w.look)
	return ctx, w
}

// look ends the call where it has taken too long by what is known now.
func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	now := time.Now()
	limit, _ := w.calls.Bound(now)
	limit <<= w.doublings
	if left := limit - now.Sub(w.began); left > 0 {
		w.timer.Reset(min(left, tally.LeastBound))
		return
	}
	w.cancel(&TimeUp{After: limit, Attempt: true, What: w.what})
}

// End gives up what a watched call holds; nil: it is not watched.
func (w *Watch) End() {
	if w != nil {
		w.Stop()
		w.cancel(nil)
	}
}

// Stop ends the watching, not the call.
func (w *Watch) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}
