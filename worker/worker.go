// Package worker joins the queue and the upstreams: it pulls requests, has the
// router answer them, and stores one result each.
//
// # The life of a request
//
// A free slot comes first: nothing is pulled that cannot start at once. The
// message is kept alive from the moment it is here until it is acknowledged, by
// one heartbeat for all. Then, in this order:
//
//  1. The same request running here already is waited for, not started again.
//  2. One that may have been begun before is looked up: a result that is stored,
//     or its job's end, ends the matter, and one that keeps killing its workers fails.
//  3. A job that is cancelled, or past its deadline, gets its result without a call.
//  4. The router makes the call, with every retry; or says that nothing can take
//     it for a while, and it is parked, to be fed again by its owner.
//  5. The result is stored, once, whatever it takes.
//  6. The job's owner is told, and the message is acknowledged.
//
// # What may go wrong between two lines
//
// The process dies before 5: the message is redelivered after [jobs.AckWait],
// and called again, unless it has died of this request too often. It dies
// between 5 and 6: the redelivery ends at 2. The broker cannot be reached: the
// call is aborted before the message can be somebody else's; one that has its
// answer keeps it, and stores it when the broker is back. Two workers run the
// same request after all: the second to store is told so, and what the first
// stored stands.
//
// # Two contexts
//
// [Run] has one context for taking work and one for doing it. When the first
// ends, nothing more is taken and what is in hand is finished: a drain. When
// the second ends, calls are aborted and their messages handed back at once,
// for another worker to begin anew.
package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pelton/jobs/owner"
	"pelton/jobs/queue"
	"pelton/jobs/service"
	"pelton/jobs/store"
	"pelton/router"
)

// Router answers one request, with all its retries. [router.Router] is one.
type Router interface {
	Do(ctx context.Context, req router.Request) router.Outcome

	// Priced reports whether the cost of the model's calls is known.
	Priced(model string) bool
}

// DefaultSlots is how many calls a process makes at once.
const DefaultSlots = 256

// Config says what a worker serves.
type Config struct {
	Store    *store.Store   // required, set up
	Router   Router         // required
	Queues   map[string]int // required: the queues to serve, and the cap each is made with
	Slots    int            // calls at once, over all queues; 0: [DefaultSlots]
	Name     string         // required: of this worker, in states and logs
	Log      zerolog.Logger
	Ready    func()   // called once work is being taken; nil: nobody is told
	Tracer   Tracer   // follows jobs and requests; nil: nobody does
	Observer Observer // counts; nil: nobody does

	HandedBack func(error) // is told why a job could not be run here for now; nil: only the log is
}

// worker is one process's part of the loop.
type worker struct {
	cfg     Config
	hard    context.Context
	cancels *store.CancelWatch
	owner   *owner.Owner

	pending sync.WaitGroup // results on their way to the store whose slots are free
	held    held           // results that wait for the broker to take them
	trials  trialTimes     // of requests that are suspected of killing workers

	mu     sync.Mutex
	groups map[groupKey]*jobGroup // of the jobs of which a request is in hand
}

// Run serves until soft ends, then finishes what is in hand; the end of hard
// aborts that. It returns when nothing is in hand any more.
func Run(soft, hard context.Context, cfg Config) error {
	if cfg.Slots == 0 {
		cfg.Slots = DefaultSlots
	}
	w := &worker{cfg: cfg, hard: hard, trials: trialTimes{born: time.Now()}, groups: map[groupKey]*jobGroup{}}
	var err error
	if w.cancels, err = cfg.Store.Cancels.Watch(); err != nil {
		return fmt.Errorf("listen for cancels: %w", err)
	}
	defer w.cancels.Close()
	requests := queue.New(cfg.Store, cfg.Log)
	w.owner, err = owner.Start(hard, owner.Config{
		Store: cfg.Store, Feeder: requests, Queues: cfg.Queues, Name: cfg.Name, Cancels: w.cancels, Log: cfg.Log,
		Priced: cfg.Router.Priced, Observer: cfg.Observer, Tracer: cfg.Tracer, HandedBack: cfg.HandedBack,
	})
	if err != nil {
		return fmt.Errorf("take jobs: %w", err)
	}
	service, err := service.Start(cfg.Store, cfg.Queues, cfg.Log)
	if err != nil {
		w.owner.Stop()
		return fmt.Errorf("start the micro service: %w", err)
	}
	err = requests.Start(hard, queue.Taking{
		Queues: cfg.Queues, Slots: cfg.Slots, Handle: w.serve, Stored: w.owner.Stored,
		Paused: func() bool { return w.held.any() },
	})
	if err == nil {
		if cfg.Ready != nil {
			cfg.Ready()
		}
		<-soft.Done()
	}
	// Owning stops with the taking: another process goes on with our jobs while
	// we finish the calls that are in hand.
	defer w.explainStop()()
	service.Stop()
	w.owner.Stop()
	requests.Stop()
	w.pending.Wait()
	return errors.Join(err, cfg.Store.Conn().FlushTimeout(time.Second))
}
