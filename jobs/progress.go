package jobs

import (
	"context"
	"encoding/json"
	"iter"
	"sync"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// Progress is one piece of news of a job: a snapshot of its state, or something
// that happened to one of its requests. One of the two is set.
type Progress struct {
	State *schema.State
	Event *schema.Event

	// Missed is how many events came before this one that the reader was too
	// slow for. In the last one it counts those after the last event.
	Missed int
}

// ProgressOption changes one [Handle.Progress].
type ProgressOption func(*following)

type following struct{ events bool }

// WithEvents asks for what happens to each request, besides the snapshots. While
// nobody asks for it, it is not sent: it costs the service a few messages per
// request.
func WithEvents() ProgressOption { return func(f *following) { f.events = true } }

// Progress yields the job's state as it is now, then snapshots of it as it
// changes, at most four a second, and last the final one; with [WithEvents] what
// happens to requests in between. Snapshots only go forward. A reader that is
// slow skips snapshots, and misses events beyond a bound, which it is told; it
// delays nobody. The end of ctx ends the reading, not the job.
func (h *Handle) Progress(ctx context.Context, options ...ProgressOption) iter.Seq2[*Progress, error] {
	var f following
	for _, option := range options {
		option(&f)
	}
	return func(yield func(*Progress, error) bool) {
		news := &updates{wake: make(chan struct{}, 1)}
		wait := []WaitOption{OnProgress(news.snapshot)}
		if f.events {
			wait = append(wait, OnEvent(news.event))
		}
		inner, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			_, err := h.Wait(inner, wait...)
			ended <- err
		}()
		over := false
		defer func() {
			if stop(); !over {
				<-ended
			}
		}()
		for {
			for p := news.next(over); p != nil; p = news.next(over) {
				if !yield(p, nil) {
					return
				}
			}
			if over {
				return
			}
			select {
			case <-news.wake:
			case err := <-ended:
				if over = true; err != nil {
					yield(nil, err)
					return
				}
			}
		}
	}
}

// news is what a reader has not seen yet: the latest snapshot, and events up to
// a bound.
type updates struct {
	mu     sync.Mutex
	latest *schema.State
	events []Progress
	first  int // events[first:] are unread
	missed int // since the last of them
	wake   chan struct{}
}

// mostNews bounds the events that wait for their reader.
const mostNews = 16_384

func (n *updates) snapshot(s schema.State) {
	n.mu.Lock()
	n.latest = &s
	n.mu.Unlock()
	n.wakeReader()
}

func (n *updates) event(e schema.Event) {
	n.mu.Lock()
	if n.first > 0 && n.first >= len(n.events)/2 {
		n.events = n.events[:copy(n.events, n.events[n.first:])]
		n.first = 0
	}
	if len(n.events)-n.first >= mostNews {
		n.missed++
	} else {
		n.events = append(n.events, Progress{Event: &e, Missed: n.missed})
		n.missed = 0
	}
	n.mu.Unlock()
	n.wakeReader()
}

func (n *updates) wakeReader() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// next returns the next piece of news; nil: there is none. The final state comes
// after all events, and only once over is set.
func (n *updates) next(over bool) *Progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.latest; s != nil && !s.State.Final() {
		n.latest = nil
		return &Progress{State: s}
	}
	if n.first < len(n.events) {
		p := n.events[n.first]
		n.first++
		return &p
	}
	if s := n.latest; s != nil && over {
		n.latest = nil
		p := &Progress{State: s, Missed: n.missed}
		n.missed = 0
		return p
	}
	return nil
}

// OnEvent has f called with what happens to the job's requests, between the
// calls of [OnProgress]. Calls come one after the other; a slow f misses events.
func OnEvent(f func(schema.Event)) WaitOption { return func(w *waiting) { w.event = f } }

// drain hands out the events that are here.
func (w *waiting) drain(events <-chan *nats.Msg) {
	for len(events) > 0 {
		w.passEvent(<-events)
	}
}

// tell hands an event to the callback.
func (w *waiting) passEvent(m *nats.Msg) {
	var e schema.Event
	if json.Unmarshal(m.Data, &e) == nil {
		w.event(e)
	}
}

// show hands a snapshot to the callback, unless it says less than the last: one
// on its way while the state was read is older than that.
func (w *waiting) show(s *schema.State) {
	if stored := s.Counts.Stored(); s.State.Final() || stored >= w.stored {
		w.stored = stored
		w.progress(*s)
	}
}
