package store

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Cancels are the durable markers of cancelled jobs.
type Cancels struct {
	c *jet.Conn

	mu  sync.Mutex
	any []func(JobKey)
}

// OnAny has f called with every job that is cancelled, as far as a watch of this
// store hears of it, before all that was told to [CancelWatch.OnCancel]. f must
// not block. It is called before the first Watch.
func (s *Cancels) OnAny(f func(JobKey)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.any = append(s.any, f)
}

// Publish writes a job's marker, which every watch hears of as well.
func (s *Cancels) Publish(ctx context.Context, queue, job string, marker schema.Cancel) error {
	data, err := json.Marshal(marker)
	if err != nil {
		return err
	}
	_, err = s.c.Publish(ctx, &nats.Msg{Subject: s.c.Names.Cancel(queue, job), Data: data})
	return jet.Explain(err)
}

// PublishSteadily is [Cancels.Publish] through a change of leaders in a cluster.
func (s *Cancels) PublishSteadily(ctx context.Context, queue, job string, marker schema.Cancel) error {
	return s.c.Steadily(ctx, s.c.Names.CancelsStream(), func(ctx context.Context) error {
		return s.Publish(ctx, queue, job, marker)
	})
}

// Find returns a job's marker, false when there is none.
func (s *Cancels) Find(ctx context.Context, queue, job string) (schema.Cancel, bool, error) {
	m, err := s.c.LastMsg(ctx, s.c.Names.CancelsStream(), s.c.Names.Cancel(queue, job))
	if m == nil || err != nil {
		return schema.Cancel{}, false, err
	}
	return schema.ParseCancel(m.Data), true, nil
}

// CancelWatch knows which jobs are cancelled. It hears every cancel as it is
// published and looks a job's durable marker up the first time it is asked, so
// that a process that joins later knows as much. It is safe for concurrent use.
type CancelWatch struct {
	cancels *Cancels
	sub     *nats.Subscription

	mu     sync.Mutex
	known  map[JobKey]*cancelState
	listen map[JobKey]map[int]func(schema.Cancel) // those to call
	nextID int
}

type cancelState struct {
	cancelled      bool
	marker         schema.Cancel
	unsure         bool      // it has to be looked up
	jobPublishedAt time.Time // when the job was published, as far as that is known: see SetPublishedAt
	publishedAt    time.Time // when a cancel was published last
	losses         uint64    // the connection's, when it was looked up: a cancel may have passed unheard since
	used           time.Time
}

// A marker belongs to an earlier job of the same name if it is older than the
// job by more than ClockSkew, since two nodes of a cluster may have stamped them.
// One that is not found may be on its way to the store for as long as
// storedWithin after it was heard.
const (
	ClockSkew    = time.Minute
	storedWithin = 10 * time.Second
)

// forgetAfter is how long a job's verdict is kept after it was last asked for;
// a look-up costs one round trip.
const forgetAfter = 10 * time.Minute

// Watch begins to listen. The caller must call Close.
func (s *Cancels) Watch() (*CancelWatch, error) {
	c := &CancelWatch{cancels: s, known: map[JobKey]*cancelState{}, listen: map[JobKey]map[int]func(schema.Cancel){}}
	sub, err := s.c.NATS().Subscribe(s.c.Names.Cancel("*", "*"), c.onCancel)
	if err != nil {
		return nil, err
	}
	c.sub = sub
	// What is published after this returns is heard.
	if err := s.c.Subscribed(sub.Subject); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close stops listening.
func (c *CancelWatch) Close() { _ = c.sub.Unsubscribe() }

func (c *CancelWatch) onCancel(m *nats.Msg) {
	if at, ok := c.cancels.c.Names.Parse("cancel", m.Subject); ok {
		c.mark(JobKey{at.Queue, at.Job}, schema.ParseCancel(m.Data), time.Now())
	}
}

// SetPublishedAt says when a job was published. What is known of a job that had its name
// before, and was removed or has aged out, is forgotten by it.
func (c *CancelWatch) SetPublishedAt(queue, job string, at time.Time) {
	key := JobKey{queue, job}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.of(key); at.After(v.jobPublishedAt) {
		// A cancel that is known may be this job's all the same: its marker tells.
		*v = cancelState{unsure: true, jobPublishedAt: at, publishedAt: v.publishedAt, used: time.Now()}
	}
}

// mark notes a cancel; publishedAt is zero for one that was looked up.
func (c *CancelWatch) mark(key JobKey, marker schema.Cancel, publishedAt time.Time) {
	c.mu.Lock()
	v := c.of(key)
	fresh := !v.cancelled
	*v = cancelState{cancelled: true, marker: marker, jobPublishedAt: v.jobPublishedAt, publishedAt: publishedAt, used: time.Now()}
	var call []func(schema.Cancel)
	if fresh {
		for _, f := range c.listen[key] {
			call = append(call, f)
		}
	}
	c.mu.Unlock()
	c.cancels.mu.Lock()
	any := c.cancels.any
	c.cancels.mu.Unlock()
	for _, f := range any { // before the calls in flight end, and their slots take the next
		f(key)
	}
	for _, f := range call {
		f(marker)
	}
}

// Known is [CancelWatch.Find] where that needs no look-up; known says so.
func (c *CancelWatch) Known(queue, job string) (marker schema.Cancel, cancelled, known bool) {
	key := JobKey{queue, job}
	losses := c.cancels.c.Losses()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.known[key]
	if v == nil || v.unsure || !v.cancelled && v.losses != losses {
		return schema.Cancel{}, false, false
	}
	v.used = time.Now()
	return v.marker, v.cancelled, true
}

// Find reports whether the job is cancelled, and what the cancel says. Its
// error means that this could not be told.
func (c *CancelWatch) Find(ctx context.Context, queue, job string) (marker schema.Cancel, cancelled bool, err error) {
	if marker, cancelled, known := c.Known(queue, job); known {
		return marker, cancelled, nil
	}
	return c.LookUp(ctx, queue, job)
}

// LookUp is [CancelWatch.Find] for when that a job is not cancelled must not be
// taken from memory: its durable marker is read.
func (c *CancelWatch) LookUp(ctx context.Context, queue, job string) (marker schema.Cancel, cancelled bool, err error) {
	if marker, cancelled, _ := c.Known(queue, job); cancelled {
		return marker, true, nil
	}
	key := JobKey{queue, job}
	losses := c.cancels.c.Losses()
	m, err := c.cancels.c.LastMsg(ctx, c.cancels.c.Names.CancelsStream(), c.cancels.c.Names.Cancel(queue, job))
	if err != nil {
		return schema.Cancel{}, false, err
	}
	c.mu.Lock()
	c.forgetOld()
	was := *c.of(key)
	c.mu.Unlock()
	if m != nil && !olderThan(m, was.jobPublishedAt.Add(-ClockSkew)) {
		marker := schema.ParseCancel(m.Data)
		c.mark(key, marker, was.publishedAt)
		return marker, true, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.of(key)
	if v.cancelled { // heard meanwhile
		return v.marker, true, nil
	}
	v.unsure = time.Since(v.publishedAt) < storedWithin
	v.losses, v.used = losses, time.Now()
	return schema.Cancel{}, false, nil
}

// olderThan reports whether a message is known to have been stored before t.
func olderThan(m *jetstream.RawStreamMsg, t time.Time) bool {
	stored := m.Time
	if stored.IsZero() { // a direct get tells it in a header
		stored, _ = time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	}
	return !stored.IsZero() && stored.Before(t)
}

// of returns what is known of a job; where nothing was, that it has to be looked
// up. Called with mu held.
func (c *CancelWatch) of(key JobKey) *cancelState {
	v := c.known[key]
	if v == nil {
		v = &cancelState{unsure: true, used: time.Now()}
		c.known[key] = v
	}
	return v
}

// forgetOld keeps the table to the jobs of the last minutes. Called with mu held.
func (c *CancelWatch) forgetOld() {
	if len(c.known)&1023 != 1023 {
		return // look through it now and then only
	}
	for key, v := range c.known {
		if time.Since(v.used) > forgetAfter && len(c.listen[key]) == 0 {
			delete(c.known, key)
		}
	}
}

// OnCancel calls f once when the job is cancelled, at once if it is known to be
// already. f must not block. The returned function takes it back.
func (c *CancelWatch) OnCancel(queue, job string, f func(schema.Cancel)) (forget func()) {
	key := JobKey{queue, job}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.known[key]; v != nil && v.cancelled {
		f(v.marker)
		return func() {}
	}
	if c.listen[key] == nil {
		c.listen[key] = map[int]func(schema.Cancel){}
	}
	c.nextID++
	id := c.nextID
	c.listen[key][id] = f
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.listen[key], id); len(c.listen[key]) == 0 {
			delete(c.listen, key)
		}
	}
}
