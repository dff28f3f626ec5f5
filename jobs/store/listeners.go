package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// listeners knows whose events somebody asks for. While that is nobody's, an
// event costs one look at a flag.
type listeners struct {
	sub *nats.Subscription
	any atomic.Bool // the events of some job are asked for

	mu    sync.Mutex
	until map[JobKey]time.Time
	call  func(JobKey)
}

// mostListened bounds the jobs whose events are sent at once.
const mostListened = 10_000

// OnListener begins to listen for those who ask for events, once per store. f is
// called with the name of a job each time somebody asks for its events.
func (s *Live) OnListener(f func(JobKey)) error {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sub != nil {
		return nil
	}
	sub, err := s.c.NATS().Subscribe(s.c.Names.Listen("*", "*"), func(m *nats.Msg) {
		if at, ok := s.c.Names.Parse("listen", m.Subject); ok {
			l.onListener(JobKey{at.Queue, at.Job}, time.Now())
		}
	})
	if err != nil {
		return err
	}
	l.sub, l.until, l.call = sub, map[JobKey]time.Time{}, f
	return s.c.Subscribed(sub.Subject)
}

// StopListening ends [Live.OnListener].
func (s *Live) StopListening() {
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sub != nil {
		_ = l.sub.Unsubscribe()
		l.sub = nil
	}
	l.any.Store(false)
	clear(l.until)
}

// Listened reports whether somebody asks for the events of a job.
func (s *Live) Listened(job JobKey) bool { return s.listeners.any.Load() && s.listeners.has(job) }

func (l *listeners) onListener(key JobKey, now time.Time) {
	l.mu.Lock()
	if _, known := l.until[key]; known || len(l.until) < mostListened {
		l.until[key] = now.Add(schema.ListenTime)
		l.any.Store(true)
	}
	call := l.call
	l.mu.Unlock()
	call(key)
}

// has reports whether somebody asks for the events of a job.
func (l *listeners) has(key JobKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[key]
	if ok && time.Now().Before(until) {
		return true
	}
	now := time.Now()
	for other, until := range l.until {
		if !now.Before(until) {
			delete(l.until, other)
		}
	}
	if len(l.until) == 0 {
		l.any.Store(false)
	}
	return false
}
