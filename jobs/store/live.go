package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/internal/nats/denied"
	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// Live is what is told to whoever listens now, over core NATS. Nothing of it is
// kept, and any of it may be lost.
type Live struct {
	c         *jet.Conn
	listeners listeners
}

// PublishStored tells a job's owner, wherever it is, that a result is stored, or
// that a request waits.
func (s *Live) PublishStored(job JobKey, out ResultMeta) {
	m := nats.NewMsg(s.c.Names.Stored(job.Queue, job.ID))
	out.writeTo(m.Header, job.ID)
	_ = s.c.Broadcast(m)
}

// OnStored has f called with what [Live.PublishStored] tells of a job.
func (s *Live) OnStored(job JobKey, f func(ResultMeta)) (stop func(), err error) {
	return s.subscribe(s.c.Names.Stored(job.Queue, job.ID), func(m *nats.Msg) {
		if out, ok := parseMeta(m.Header); ok {
			f(out)
		}
	})
}

func (s *Live) subscribe(subject string, f func(*nats.Msg)) (stop func(), err error) {
	sub, err := s.c.NATS().Subscribe(subject, f)
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// headerDemand travels on progress messages between owners.
const headerDemand = "Pelton-Wanted"

// PublishProgress sends a snapshot of a job to whoever listens. demand is how many
// requests the job could have in flight now, for the owners of other jobs.
func (s *Live) PublishProgress(state *schema.State, demand int) {
	data, err := json.Marshal(state)
	if err != nil {
		return
	}
	m := nats.NewMsg(s.c.Names.Progress(state.Queue, state.ID))
	m.Header.Set(schema.HeaderJob, state.ID)
	m.Header.Set(headerDemand, strconv.Itoa(demand))
	m.Data = data
	_ = s.c.Broadcast(m)
}

// OnDemand has f called with the demand of every job of a queue, as its owner
// publishes it. What is published once OnDemand has returned is heard.
func (s *Live) OnDemand(queue string, f func(job string, demand int)) (stop func(), err error) {
	subject := s.c.Names.Progress(queue, "*")
	stop, err = s.subscribe(subject, func(m *nats.Msg) {
		at, ok := s.c.Names.Parse("progress", m.Subject)
		demand, err := strconv.Atoi(m.Header.Get(headerDemand))
		if ok && err == nil {
			f(at.Job, demand)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := s.c.Subscribed(subject); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// OnProgress has f called with the snapshots of a job as they are published, each
// the JSON of a [schema.State]; "*" means any queue or job. Snapshots that come
// while so many are unread are left out: the next one says more.
func (s *Live) OnProgress(queue, job string, unread int) (snapshots <-chan *nats.Msg, stop func(), err error) {
	list := make(chan *nats.Msg, unread)
	// A reader who may not hear of progress goes without.
	call := s.c.Begin(s.c.Names.Progress(queue, job))
	unsubscribe, err := s.subscribe(s.c.Names.Progress(queue, job), func(m *nats.Msg) {
		select {
		case list <- m:
		default:
		}
	})
	if err != nil {
		call.End()
		return nil, nil, err
	}
	return list, func() {
		unsubscribe()
		call.End()
	}, nil
}

// PublishEvent publishes what happened to a request.
func (s *Live) PublishEvent(job JobKey, index int, e schema.Event) {
	e.Index = index
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	_ = s.c.Broadcast(&nats.Msg{Subject: s.c.Names.Events(job.Queue, job.ID, index), Data: data})
}

// eventsAhead is how many events may wait for their reader.
const eventsAhead = 65_536

// Events asks for a job's events, each the JSON of a [schema.Event], until stop is
// called. What there is no room for is left out. A flush brings everything that
// was sent before it.
func (s *Live) Events(job JobKey) (events <-chan *nats.Msg, stop func(), err error) {
	list := make(chan *nats.Msg, eventsAhead)
	subject := s.c.Names.EventsOf(job.Queue, job.ID)
	sub, err := s.c.NATS().ChanSubscribe(subject, list)
	if err != nil {
		return nil, nil, err
	}
	if err := s.c.Subscribed(subject); err != nil {
		_ = sub.Unsubscribe()
		return nil, nil, err
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		beat := time.NewTicker(schema.ListenTime / 3)
		defer beat.Stop()
		for {
			_ = s.c.Broadcast(&nats.Msg{Subject: s.c.Names.Listen(job.Queue, job.ID)})
			select {
			case <-beat.C:
			case <-quit:
				return
			}
		}
	}()
	return list, func() {
		_ = sub.Unsubscribe()
		close(quit)
		<-done
	}, nil
}

// Chunks publishes the chunks of one request's streamed answer. One goroutine may
// use it at a time. The zero value publishes nothing.
type Chunks struct {
	live            *Live
	job             JobKey
	index           int
	msg             *nats.Msg // nil before the first chunk
	attempt, chunks int       // of the last chunk
}

// Chunks returns where the chunks of a request's answer go.
func (s *Live) Chunks(job JobKey, index int) Chunks { return Chunks{live: s, job: job, index: index} }

// Publish sends one chunk, as the upstream sent it. It does not wait, and what
// cannot be sent is left out: readers see the gap.
func (c *Chunks) Publish(attempt, sequence int, data []byte) {
	if c.live == nil {
		return
	}
	if c.msg == nil {
		c.msg = nats.NewMsg(c.live.c.Names.Deltas(c.job.Queue, c.job.ID, c.index))
	}
	if c.attempt != attempt {
		c.attempt = attempt
		c.msg.Header[schema.HeaderAttempt] = []string{strconv.Itoa(attempt)}
	}
	c.chunks = sequence + 1
	c.msg.Header[schema.HeaderSequence] = append(c.msg.Header[schema.HeaderSequence][:0], strconv.Itoa(sequence))
	c.msg.Data = data
	_ = c.live.c.Broadcast(c.msg) // copied before it returns
	c.msg.Data = nil
}

// End tells the readers of the chunks, if there were any, that the request's
// result is stored.
func (c *Chunks) End(out ResultMeta) {
	if c.msg == nil || out.Status == schema.StatusParked {
		return
	}
	m := nats.NewMsg(c.msg.Subject)
	m.Header.Set(schema.HeaderAttempt, strconv.Itoa(c.attempt))
	m.Header.Set(schema.HeaderSequence, strconv.Itoa(c.chunks))
	m.Header.Set(schema.HeaderStatus, string(out.Status))
	usageHeaders(m.Header, out.Bill)
	_ = c.live.c.Broadcast(m)
}

// What a reader of chunks may have before it: beyond it chunks are dropped.
const (
	chunksAhead     = 32_768
	chunkBytesAhead = 64 << 20
)

// Deltas subscribes to the chunks of a job's streamed answers. The caller ends
// the subscription.
func (s *Live) Deltas(job JobKey) (*nats.Subscription, error) {
	subject := s.c.Names.DeltasOf(job.Queue, job.ID)
	sub, err := s.c.NATS().SubscribeSync(subject)
	if err != nil {
		return nil, err
	}
	if err = sub.SetPendingLimits(chunksAhead, chunkBytesAhead); err == nil {
		err = s.c.Subscribed(subject)
	}
	if err != nil {
		_ = sub.Unsubscribe()
		return nil, err
	}
	return sub, nil
}

// Flush returns once the broker has taken everything that was sent, and all that
// it had sent before is here.
func (s *Live) Flush(ctx context.Context) error { return s.c.NATS().FlushWithContext(ctx) }

// flushTime is how long the broker gets to take the last message of a reply.
const flushTime = 5 * time.Second

// Reply is where a job's results or its end are sent besides: a subject that the
// job names. One goroutine uses it.
type Reply struct {
	live    *Live
	subject string
	call    *denied.Call
}

// Reply begins to send to a subject. The caller must call Close.
func (s *Live) Reply(subject string) *Reply {
	return &Reply{live: s, subject: subject, call: s.c.Begin(subject)}
}

// Send sends an entry of a job's results. [ErrDenied], for this entry or an
// earlier one, means that this process may not publish there.
func (r *Reply) Send(e Entry) error { return r.send(e.Msg(r.subject)) }

// SendEnd sends a final state.
func (r *Reply) SendEnd(state *schema.State) error {
	data, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return r.send(EndMsg(r.subject, state, data))
}

func (r *Reply) send(m *nats.Msg) error {
	if err := r.live.c.Broadcast(m); err != nil {
		return err
	}
	return jet.Explain(r.call.Err())
}

// Flush returns once the broker has taken everything that was sent. [ErrDenied]
// means that it did not.
func (r *Reply) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err := r.live.Flush(ctx)
	if refused := jet.Explain(r.call.Err()); refused != nil {
		return refused
	}
	return err
}

// Close ends the sending.
func (r *Reply) Close() { r.call.End() }

// carried are the headers that go from a stored result to its copy on a reply
// subject.
var carried = []string{
	schema.HeaderJob, schema.HeaderIndex, schema.HeaderStatus, schema.HeaderTotal,
	schema.HeaderCustomID, schema.HeaderObject, schema.HeaderCode, schema.HeaderUsage, schema.HeaderCost,
	schema.HeaderUnknownAttempts, schema.HeaderUnpricedAttempts,
}

// Msg returns the message that carries the entry's copy to a reply subject.
func (e Entry) Msg(subject string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data = e.Data
	for _, name := range carried {
		if v := e.Header.Get(name); v != "" {
			m.Header.Set(name, v)
		}
	}
	return m
}
