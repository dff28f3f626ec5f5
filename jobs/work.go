package jobs

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// Work is one request as the work stream carries it: the body as the message's
// data, everything else in headers, so that nobody on the way decodes a body.
type Work struct {
	Queue, Job string
	Index      int
	Total      int // of the job
	CustomID   string
	Endpoint   schema.Endpoint
	Timeout    time.Duration // for the request with all its retries
	Deadline   time.Time     // of the job
	QueuedAt   time.Time     // when the job was published
	Include    bool          // the result repeats the body
	Trace      string        // W3C traceparent
	Tags       []string      // of the job
	Again      bool          // it may have been begun before: see [Broker.ParkedOf]
	FedAt      time.Time     // when the owner published it
	Body       []byte

	home   *localJob // where it waits by hand
	object string    // the body lies in the object store under this name

	live   *Live // see Via
	chunks Chunks
}

func workMsg(b *Store, w *Work) *nats.Msg {
	m := nats.NewMsg(b.Names.Work(w.Queue, w.Job, w.Index))
	h := m.Header
	h.Set(schema.HeaderJob, w.Job)
	h.Set(schema.HeaderIndex, strconv.Itoa(w.Index))
	h.Set(schema.HeaderTotal, strconv.Itoa(w.Total))
	h.Set(schema.HeaderURL, string(w.Endpoint))
	h.Set(schema.HeaderTimeout, w.Timeout.String())
	h.Set(schema.HeaderDeadline, w.Deadline.UTC().Format(time.RFC3339Nano))
	h.Set(schema.HeaderQueuedAt, w.QueuedAt.UTC().Format(time.RFC3339Nano))
	h.Set(schema.HeaderFedAt, strconv.FormatInt(w.FedAt.UnixMilli(), 10))
	if w.CustomID != "" {
		h.Set(schema.HeaderCustomID, HeaderText(w.CustomID))
	}
	if w.Include {
		h.Set(schema.HeaderInclude, "true")
	}
	for _, tag := range w.Tags {
		h.Add(schema.HeaderTags, HeaderText(tag))
	}
	if w.Again {
		h.Set(schema.HeaderAgain, "true")
	}
	if w.Trace != "" {
		h.Set(schema.HeaderTrace, w.Trace)
	}
	if w.object != "" {
		h.Set(schema.HeaderObject, w.object)
	} else {
		m.Data = w.Body
	}
	return m
}

// mostTags is how many tags a job has at most.
const mostTags = 32

// ReadWork decodes a message of the work stream. A body that lies in the object
// store is fetched.
func ReadWork(ctx context.Context, b *Store, m *nats.Msg) (*Work, error) {
	at, ok := b.Names.Parse("work", m.Subject)
	if !ok {
		return nil, fmt.Errorf("%s is no subject of a request", m.Subject)
	}
	h := m.Header
	w := &Work{
		Queue: at.Queue, Job: at.Job, Index: at.Index,
		CustomID: HeaderValue(h.Get(schema.HeaderCustomID)),
		Endpoint: schema.Endpoint(h.Get(schema.HeaderURL)),
		Include:  h.Get(schema.HeaderInclude) == "true",
		Trace:    TraceText(h.Get(schema.HeaderTrace)),
		Again:    h.Get(schema.HeaderAgain) == "true",
		Body:     m.Data,
		object:   h.Get(schema.HeaderObject),
	}
	for _, tag := range h.Values(schema.HeaderTags)[:min(len(h.Values(schema.HeaderTags)), mostTags)] {
		w.Tags = append(w.Tags, HeaderValue(tag))
	}
	var err error
	if w.Total, err = strconv.Atoi(h.Get(schema.HeaderTotal)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderTotal, err)
	}
	if w.Total <= w.Index {
		return nil, fmt.Errorf("%s: header %s: a job of %d requests has no index %d", m.Subject, schema.HeaderTotal, w.Total, w.Index)
	}
	if w.Timeout, err = time.ParseDuration(h.Get(schema.HeaderTimeout)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderTimeout, err)
	}
	if w.Deadline, err = time.Parse(time.RFC3339Nano, h.Get(schema.HeaderDeadline)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderDeadline, err)
	}
	if w.QueuedAt, err = time.Parse(time.RFC3339Nano, h.Get(schema.HeaderQueuedAt)); err != nil {
		return nil, fmt.Errorf("%s: header %s: %w", m.Subject, schema.HeaderQueuedAt, err)
	}
	if ms, err := strconv.ParseInt(h.Get(schema.HeaderFedAt), 10, 64); err == nil {
		w.FedAt = time.UnixMilli(ms)
	}
	if w.object != "" {
		if w.Body, err = b.Objects.GetBody(ctx, w.object); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Subject, err)
		}
	}
	return w, nil
}

// Certain reports whether nobody can have begun this request before, where the
// broker took it at stored and gives it out for the first time. A publish that
// was on its way for long may come from an owner that has lost its job, of a
// request that is done. Clocks that differ make every publish look late: that
// costs a look-up, and nothing else.
func (w *Work) Certain(stored time.Time) bool {
	late := stored.Sub(w.FedAt)
	return !w.Again && -certainWithin < late && late < certainWithin
}

const certainWithin = time.Second

// Result begins the result of this request, with everything that does not
// depend on how it went.
func (w *Work) Result() *schema.Result {
	queued := w.QueuedAt
	r := &schema.Result{
		ID: w.Job + "." + strconv.Itoa(w.Index), Job: w.Job, Index: w.Index,
		CustomID: w.CustomID, QueuedAt: &queued,
	}
	if w.Include {
		r.Request = w.Body
	}
	return r
}

// Key identifies the request among all queues.
func (w *Work) Key() string { return w.Queue + "." + w.Job + "." + strconv.Itoa(w.Index) }

// Via names where the request's chunks and events go out. Without it they go
// nowhere.
func (w *Work) Via(live *Live) { w.live, w.chunks = live, live.Chunks(w.Of(), w.Index) }

// Of names the request's job.
func (w *Work) Of() JobKey { return JobKey{w.Queue, w.Job} }

// Chunk publishes one chunk of the streamed answer, as the upstream sent it. It
// does not wait, and what cannot be sent is left out: readers see the gap. One
// goroutine may call it at a time.
func (w *Work) Chunk(attempt, sequence int, data []byte) { w.chunks.Publish(attempt, sequence, data) }

// Stored tells the readers of a streamed request that its result is stored.
func (w *Work) Stored(out ResultMeta) { w.chunks.End(out) }

// Watched reports whether somebody wants to hear the request's events.
func (w *Work) Watched() bool { return w.live != nil && w.live.Listened(w.Of()) }

// Event publishes what happened to the request to whoever listens. It does not
// wait.
func (w *Work) Event(e schema.Event) {
	if w.live != nil {
		w.live.PublishEvent(w.Of(), w.Index, e)
	}
}
