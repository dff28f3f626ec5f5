package jobs

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/schema"
)

// Cancels knows which jobs are cancelled. It hears every cancel as it is
// published and looks a job's durable marker up the first time it is asked, so
// that a process that joins later knows as much. It is safe for concurrent use.
type Cancels struct {
	b   *Broker
	sub *nats.Subscription

	mu     sync.Mutex
	known  map[jobKey]*verdict
	listen map[jobKey]map[int]func(schema.Cancel) // who wants to hear of it
	nextID int
}

type verdict struct {
	cancelled bool
	marker    schema.Cancel
	unsure    bool      // it has to be looked up
	begun     time.Time // when the job was published, as far as that is known: see Begun
	heard     time.Time // when a cancel was published last
	losses    uint64    // the connection's, when it was looked up: a cancel may have passed unheard since
	used      time.Time
}

// A marker belongs to an earlier job of the same name if it is older than the
// job by more than clockSkew, since two nodes of a cluster may have stamped them.
// One that is not found may be on its way to the store for as long as
// storedWithin after it was heard.
const (
	clockSkew    = time.Minute
	storedWithin = 10 * time.Second
)

// forgetAfter is how long a job's verdict is kept after it was last asked for;
// a look-up costs one round trip.
const forgetAfter = 10 * time.Minute

// WatchCancels begins to listen. The caller must call Close.
func (b *Broker) WatchCancels() (*Cancels, error) {
	c := &Cancels{b: b, known: map[jobKey]*verdict{}, listen: map[jobKey]map[int]func(schema.Cancel){}}
	sub, err := b.nc.Subscribe(b.names.Cancel("*", "*"), c.hear)
	if err != nil {
		return nil, err
	}
	c.sub = sub
	// What is published after this returns is heard.
	if err := b.explain(b.watch.Subscribed(sub.Subject)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close stops listening.
func (c *Cancels) Close() { _ = c.sub.Unsubscribe() }

func (c *Cancels) hear(m *nats.Msg) {
	if at, ok := c.b.names.Parse("cancel", m.Subject); ok {
		c.mark(jobKey{at.Queue, at.Job}, schema.ParseCancel(m.Data), time.Now())
	}
}

// Begun says when a job was published. What is known of a job that had its name
// before, and was removed or has aged out, is forgotten by it.
func (c *Cancels) Begun(queue, job string, at time.Time) {
	key := jobKey{queue, job}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.of(key); at.After(v.begun) {
		// A cancel that is known may be this job's all the same: its marker tells.
		*v = verdict{unsure: true, begun: at, heard: v.heard, used: time.Now()}
	}
}

// mark notes a cancel; heard is zero for one that was looked up.
func (c *Cancels) mark(key jobKey, marker schema.Cancel, heard time.Time) {
	c.mu.Lock()
	v := c.of(key)
	fresh := !v.cancelled
	*v = verdict{cancelled: true, marker: marker, begun: v.begun, heard: heard, used: time.Now()}
	var tell []func(schema.Cancel)
	if fresh {
		for _, f := range c.listen[key] {
			tell = append(tell, f)
		}
	}
	c.mu.Unlock()
	if c.b.local != nil { // before the calls in flight end, and their slots take the next
		c.b.local.stop(key)
	}
	for _, f := range tell {
		f(marker)
	}
}

// Known is [Cancels.Cancelled] where that needs no look-up; known says so.
func (c *Cancels) Known(queue, job string) (marker schema.Cancel, cancelled, known bool) {
	key := jobKey{queue, job}
	losses := c.b.losses()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.known[key]
	if v == nil || v.unsure || !v.cancelled && v.losses != losses {
		return schema.Cancel{}, false, false
	}
	v.used = time.Now()
	return v.marker, v.cancelled, true
}

// Cancelled reports whether the job is cancelled, and what the cancel says. Its
// error means that this could not be told.
func (c *Cancels) Cancelled(ctx context.Context, queue, job string) (marker schema.Cancel, cancelled bool, err error) {
	if marker, cancelled, known := c.Known(queue, job); known {
		return marker, cancelled, nil
	}
	return c.lookUp(ctx, queue, job)
}

// lookUp is [Cancels.Cancelled] for when that a job is not cancelled must not be
// taken from memory: its durable marker is read.
func (c *Cancels) lookUp(ctx context.Context, queue, job string) (marker schema.Cancel, cancelled bool, err error) {
	if marker, cancelled, _ := c.Known(queue, job); cancelled {
		return marker, true, nil
	}
	key := jobKey{queue, job}
	losses := c.b.losses()
	m, err := c.b.lastMsg(ctx, c.b.names.CancelsStream(), c.b.names.Cancel(queue, job))
	if err != nil {
		return schema.Cancel{}, false, err
	}
	c.mu.Lock()
	c.forgetOld()
	was := *c.of(key)
	c.mu.Unlock()
	if m != nil && !olderThan(m, was.begun.Add(-clockSkew)) {
		marker := schema.ParseCancel(m.Data)
		c.mark(key, marker, was.heard)
		return marker, true, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.of(key)
	if v.cancelled { // heard meanwhile
		return v.marker, true, nil
	}
	v.unsure = time.Since(v.heard) < storedWithin
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
func (c *Cancels) of(key jobKey) *verdict {
	v := c.known[key]
	if v == nil {
		v = &verdict{unsure: true, used: time.Now()}
		c.known[key] = v
	}
	return v
}

// forgetOld keeps the table to the jobs of the last minutes. Called with mu held.
func (c *Cancels) forgetOld() {
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
func (c *Cancels) OnCancel(queue, job string, f func(schema.Cancel)) (forget func()) {
	key := jobKey{queue, job}
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

// publishCancel writes the durable marker, which every worker hears as well.
func (b *Broker) publishCancel(ctx context.Context, queue, job string, marker schema.Cancel) error {
	data, err := json.Marshal(marker)
	if err != nil {
		return err
	}
	_, err = b.publish(ctx, &nats.Msg{Subject: b.names.Cancel(queue, job), Data: data})
	return b.explain(err)
}
