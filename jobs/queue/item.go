package queue

import (
	"strconv"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// Item is one request on its way from its job's owner to a slot. Nobody on the way
// decodes its body. It also is where the events and chunks of its call go out: one
// goroutine may use it at a time.
type Item struct {
	Queue, Job string
	Index      int
	Total      int // of the job
	CustomID   string
	Endpoint   schema.Endpoint
	Timeout    time.Duration // for the request with its retries and waits
	Attempt    time.Duration // for one attempt; 0: see [schema.Job.Timeout]
	Deadline   time.Time     // of the job
	QueuedAt   time.Time     // when the job was published
	Include    bool          // the result repeats the body
	Trace      string        // W3C traceparent; empty: none
	Tags       []string      // of the job
	MaybeBegun bool          // it may have been begun before: what is known of it lies in [store.Parked]
	FedAt      time.Time     // when the owner put it in
	Body       []byte

	// Object names the body in the object store where a message cannot hold it.
	// Empty: the body goes with the request. The queue sets it.
	Object string

	live   *store.Live  // where events go; nil: nowhere
	chunks store.Chunks // where the answer's chunks go
	slot   *memoryJob   // what it counts for in a [Memory]
}

// goesBy has the item's events and chunks go out by live.
func (it *Item) goesBy(live *store.Live) {
	it.live, it.chunks = live, live.Chunks(it.JobKey(), it.Index)
}

// JobKey names the request's job.
func (it *Item) JobKey() store.JobKey { return store.JobKey{Queue: it.Queue, ID: it.Job} }

// Key names the request among those of all queues.
func (it *Item) Key() string { return it.Queue + "." + it.Job + "." + strconv.Itoa(it.Index) }

// Result begins the result of this request, with everything that does not
// depend on how it went.
func (it *Item) Result() *schema.Result {
	queued := it.QueuedAt
	r := &schema.Result{
		ID: it.Job + "." + strconv.Itoa(it.Index), Job: it.Job, Index: it.Index,
		CustomID: it.CustomID, QueuedAt: &queued,
	}
	if it.Include {
		r.Request = it.Body
	}
	return r
}

// surelyFresh reports whether nobody can have begun the request before, where the
// broker took it at stored and gives it out for the first time. A message that was
// on its way for long may come from an owner that has lost its job, of a request
// that is done. Clocks that differ make every message look late: that costs a
// look-up, and nothing else.
func (it *Item) surelyFresh(stored time.Time) bool {
	late := stored.Sub(it.FedAt)
	return !it.MaybeBegun && -freshWithin < late && late < freshWithin
}

const freshWithin = time.Second

// Chunk publishes one chunk of the streamed answer, as the upstream sent it. It
// does not wait, and what cannot be sent is left out: readers see the gap. attempt
// counts from 1, sequence from 0.
func (it *Item) Chunk(attempt, sequence int, data []byte) { it.chunks.Publish(attempt, sequence, data) }

// Stored tells the readers of a streamed request that its result is stored.
func (it *Item) Stored(meta store.ResultMeta) { it.chunks.End(meta) }

// Listened reports whether somebody asks for the events of the request's job.
func (it *Item) Listened() bool { return it.live != nil && it.live.Listened(it.JobKey()) }

// Event publishes what happened to the request to whoever listens. It does not wait.
func (it *Item) Event(e schema.Event) {
	if it.live != nil {
		it.live.PublishEvent(it.JobKey(), it.Index, e)
	}
}
