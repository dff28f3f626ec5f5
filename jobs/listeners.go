package jobs

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// listeners knows whose events somebody wants to hear. While that is nobody's,
// an event costs one look at a flag.
type listeners struct {
	sub    *nats.Subscription
	wanted atomic.Bool // some job's are

	mu    sync.Mutex
	until map[jobKey]time.Time
	heed  func(jobKey)
}

// mostListened bounds the jobs whose events are sent at once.
const mostListened = 10_000

// heedListeners begins to listen for listeners; once per broker. heed is called
// with the name of a job each time somebody says that he listens.
func (b *Broker) heedListeners(heed func(jobKey)) error {
	l := &b.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sub != nil {
		return nil
	}
	sub, err := b.nc.Subscribe(b.names.Listen("*", "*"), func(m *nats.Msg) {
		if at, ok := b.names.Parse("listen", m.Subject); ok {
			l.heard(jobKey{at.Queue, at.Job}, time.Now())
		}
	})
	if err != nil {
		return err
	}
	l.sub, l.until, l.heed = sub, map[jobKey]time.Time{}, heed
	return b.explain(b.watch.Subscribed(sub.Subject))
}

// ignoreListeners ends heedListeners.
func (b *Broker) ignoreListeners() {
	l := &b.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sub != nil {
		_ = l.sub.Unsubscribe()
		l.sub = nil
	}
	l.wanted.Store(false)
	clear(l.until)
}

func (l *listeners) heard(key jobKey, now time.Time) {
	l.mu.Lock()
	if _, known := l.until[key]; known || len(l.until) < mostListened {
		l.until[key] = now.Add(schema.ListenTime)
		l.wanted.Store(true)
	}
	heed := l.heed
	l.mu.Unlock()
	heed(key)
}

// want reports whether somebody wants the events of a job.
func (l *listeners) want(key jobKey) bool {
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
		l.wanted.Store(false)
	}
	return false
}

// Watched reports whether somebody wants to hear the request's events.
func (w *Work) Watched() bool {
	return w.b != nil && w.b.listeners.wanted.Load() && w.b.listeners.want(jobKey{w.Queue, w.Job})
}

// Event publishes what happened to the request to whoever listens. It does not
// wait.
func (w *Work) Event(e schema.Event) {
	if w.b != nil {
		w.b.publishEvent(w.Queue, w.Job, w.Index, e)
	}
}

func (b *Broker) publishEvent(queue, job string, index int, e schema.Event) {
	e.Index = index
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	_ = b.nc.Publish(b.names.Events(queue, job, index), data)
}

// event publishes what the owner sees of a request, where somebody listens.
func (j *owned) event(index int, e schema.Event) {
	if j.b.listeners.wanted.Load() && j.b.listeners.want(j.name()) {
		j.b.publishEvent(j.rec.Queue, j.rec.ID, index, e)
	}
}
