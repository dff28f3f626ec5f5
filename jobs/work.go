package jobs

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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

	b               *Broker // see Via
	delta           *nats.Msg
	attempt, chunks int // of the last chunk
}

func (b *Broker) workMsg(w *Work) *nats.Msg {
	m := nats.NewMsg(b.names.Work(w.Queue, w.Job, w.Index))
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
		h.Set(schema.HeaderCustomID, headerText(w.CustomID))
	}
	if w.Include {
		h.Set(schema.HeaderInclude, "true")
	}
	for _, tag := range w.Tags {
		h.Add(schema.HeaderTags, headerText(tag))
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
	return asNewer(m)
}

// mostTags is how many tags a job has at most.
const mostTags = 32

// traceText returns a W3C traceparent, and nothing of what is none: it becomes a
// header of the call.
func traceText(s string) string {
	if len(s) > 128 || strings.Trim(s, "0123456789abcdef-") != "" {
		return ""
	}
	return s
}

// ReadWork decodes a message of the work stream. A body that lies in the object
// store is fetched.
func (b *Broker) ReadWork(ctx context.Context, m *nats.Msg) (*Work, error) {
	at, ok := b.names.Parse("work", m.Subject)
	if !ok {
		return nil, fmt.Errorf("%s is no subject of a request", m.Subject)
	}
	h := m.Header
	w := &Work{
		Queue: at.Queue, Job: at.Job, Index: at.Index,
		CustomID: headerValue(h.Get(schema.HeaderCustomID)),
		Endpoint: schema.Endpoint(h.Get(schema.HeaderURL)),
		Include:  h.Get(schema.HeaderInclude) == "true",
		Trace:    traceText(h.Get(schema.HeaderTrace)),
		Again:    h.Get(schema.HeaderAgain) == "true",
		Body:     m.Data,
		object:   h.Get(schema.HeaderObject),
	}
	for _, tag := range h.Values(schema.HeaderTags)[:min(len(h.Values(schema.HeaderTags)), mostTags)] {
		w.Tags = append(w.Tags, headerValue(tag))
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
		if w.Body, err = b.getBody(ctx, w.object); err != nil {
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

// LastWork returns the last sequence of the work stream.
func (b *Broker) LastWork(ctx context.Context) (uint64, error) {
	last := uint64(0)
	err := b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, b.names.WorkStream())
		if err == nil {
			last = stream.CachedInfo().State.LastSeq
		}
		return err
	})
	return last, err
}

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

// headerValue undoes headerText.
func headerValue(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(c))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// Key identifies the request among all queues.
func (w *Work) Key() string { return w.Queue + "." + w.Job + "." + strconv.Itoa(w.Index) }
