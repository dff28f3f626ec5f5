package worker

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A stop that takes its time says what it waits for: first when it has taken so long,
// then each time after twice as long, up to the longest pause.
const (
	quietStop    = 2 * time.Second
	longestQuiet = 30 * time.Second
)

// held counts the answers that wait for the broker to take them. It is safe for
// concurrent use.
type held struct {
	n     atomic.Int64
	since atomic.Int64 // since when there have been any, in Unix nanoseconds
	last  atomic.Pointer[string]
}

func (h *held) add(why error) {
	if h.n.Add(1) == 1 {
		h.since.Store(time.Now().UnixNano())
	}
	text := why.Error()
	h.last.Store(&text)
}

func (h *held) done() { h.n.Add(-1) }

// any reports whether there are such answers.
func (h *held) any() bool { return h.n.Load() > 0 }

// explainStop says in the log what a stopping worker waits for, until the returned
// function is called.
func (w *worker) explainStop() (end func()) {
	began, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for pause := quietStop; ; pause = min(2*pause, longestQuiet) {
			select {
			case <-time.After(pause):
				w.logStop(time.Since(began))
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

func (w *worker) logStop(waited time.Duration) {
	log := w.cfg.Log
	if n := w.held.n.Load(); n > 0 {
		line := log.Warn().Int64("answers", n).Dur("for", time.Since(time.Unix(0, w.held.since.Load())))
		if why := w.held.last.Load(); why != nil {
			line = line.Str("error", *why)
		}
		line.Msg(fmt.Sprintf("stopping for %s: waiting until the broker takes the answers that are held; they were paid for, and a second signal gives them up", waited.Round(time.Second)))
		return
	}
	log.Info().Int("calls", w.inHand()).Msg(fmt.Sprintf("stopping for %s: waiting for the calls in flight; a second signal hands them back", waited.Round(time.Second)))
}

// inHand is how many requests are being called.
func (w *worker) inHand() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.groups {
		n += g.users
	}
	return n
}
