// Package queue carries requests from the owners of jobs to the slots of workers.
//
// An owner puts requests in by [Feeder]; a worker takes them by [Source], one
// [Lease] per free slot. There are two queues of that kind: [Stream] goes through
// the work stream of the broker, to slots of any process; [Memory] hands requests
// on within one process, where no other reaches the server. Both pass the suite in
// queuetest: whoever changes one extends it.
//
// A queue may forget what it holds, in part or all of it, as a broker does that
// loses its memory. The owner notices by [Feeder.Pending] and puts it in again. It
// must not be asked to remember more than that: what is done is known by the
// results that are stored.
package queue

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"pelton/jobs/store"
)

// Queue is both sides of a queue.
type Queue interface {
	Feeder
	Source
}

// New returns the queue of an installation: in memory where it is this process
// alone. It is the only place that asks.
func New(st *store.Store, log zerolog.Logger) Queue {
	if st.Alone {
		return NewMemory(st)
	}
	return NewStream(st, log)
}

// Feeder is the owner's side of a queue. It is safe for concurrent use.
type Feeder interface {
	// Put lets a request wait for a slot. It does nothing where the queue holds the
	// request already. bound is how many requests of the job may be in slots at
	// once, and ahead how many more the job has put in: a queue that tells slots
	// from waiting holds the bound itself.
	//
	// lost is called with the request's index when it turns out, later and from
	// any goroutine, that it was not put in; it must not block. [ErrNotSent] says
	// so at once, and lost is not called. Any other error is of something that
	// trying again at once does not mend.
	Put(ctx context.Context, it *Item, bound, ahead int, lost func(index int)) error

	// Ahead is how many requests a job may put in beyond its bound, so that a slot
	// that is free has the next at once; bodyBytes is the size of their bodies.
	Ahead(bound, bodyBytes int) int

	// Pending lists the indexes of a job's requests that wait, or are in slots.
	// since is when the queue's memory begins: of what was put in before it knows
	// nothing. [ErrMissing] says that there is no queue.
	Pending(ctx context.Context, job store.JobKey) (indexes map[int]bool, since time.Time, err error)

	// Held lists a job's requests that slots have begun and are not done with, in
	// whatever process: their calls run, or their answers are on their way to the
	// store. [ErrUnsettled] says that this cannot be known yet; asking again after a
	// moment is right, as after any error.
	Held(ctx context.Context, job store.JobKey) (map[int]Hold, error)

	// Withdraw ends the feeding of a job, and takes back what can be taken back:
	// the indexes of requests that no slot has begun, nor will. It may be none. A
	// job that is purged may be fed again.
	Withdraw(job store.JobKey) (neverBegun []int)

	// Reclaim looks for requests of a job that the queue holds though it will give
	// them to nobody any more, and takes them out. It calls each for every one, with
	// its result where one is stored.
	Reclaim(ctx context.Context, job store.JobKey, each func(index int, meta store.ResultMeta, stored bool) error) error

	// Purge takes out what is left of a job.
	Purge(ctx context.Context, job store.JobKey) error
}

// Source is the worker's side of a queue.
type Source interface {
	// Start begins to give out requests, one per free slot, until Stop. The end of
	// hard ends the context of every lease.
	Start(hard context.Context, how Taking) error

	// Stop gives out no more, and returns when every Handle has. It may be called
	// without Start having succeeded.
	Stop()
}

// Taking says how a worker takes requests. All fields but Paused are required.
type Taking struct {
	Queues map[string]int // the queues to take from, and the cap that each is made with
	Slots  int            // requests in Handle at once, over all queues

	// Paused is asked before more is taken. Nil: never.
	Paused func() bool

	// Handle is called with each request, in a goroutine of its own. The slot is
	// free when it returns.
	Handle func(Lease)

	// Stored is told what [Lease.Done] is told. With hurry false, its hearer may
	// take its time: enough of the job waits for slots.
	Stored func(job store.JobKey, meta store.ResultMeta, hurry bool)
}

// Lease is a request in a slot. The queue gives the request to nobody else for as
// long as the lease's context lasts; exactly one of Done, Return and Discard ends
// the lease, possibly after Handle has returned.
type Lease interface {
	// Context ends when the request may be somebody else's, or the process stops hard.
	Context() context.Context

	// Item is the request, once no other lease of it is left in this process. Nil:
	// the message holds no request, or none any more that this lease may begin.
	// Then the lease has ended.
	Item() *Item

	// Fresh reports that certainly nobody has begun the request before. It is asked
	// after Item.
	Fresh() bool

	// Redelivered reports whether the queue has given the request to somebody before,
	// and has had no word of it since.
	Redelivered() bool

	// Elsewhere reports whether another process has begun the request and is not done
	// with it, as [Feeder.Held] says it.
	Elsewhere(ctx context.Context) (bool, error)

	// Begin says that the request is begun now: until the lease ends, [Feeder.Held]
	// lists it. A request that is Fresh is begun by that.
	Begin()

	// Answered says that the request has its answer, which is kept until it is stored,
	// whatever that takes.
	Answered()

	// Early reports whether the slot may go on to the next request while this
	// one's result is being stored.
	Early() bool

	// Done says that the request has its result, or waits: that is stored. The
	// job's owner is told.
	Done(meta store.ResultMeta)

	// Return gives the request up, for another slot to begin.
	Return()

	// Discard takes the request out of the queue without a word: its job has ended.
	Discard()
}
