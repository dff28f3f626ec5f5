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
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pelton/internal/nats/pull"
	"pelton/jobs"
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
	Broker   *jobs.Store    // required, set up
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
	cancels *jobs.CancelWatch
	local   *jobs.LocalWork // nil: requests are pulled
	owner   *jobs.Owner
	slots   *pull.Slots
	storing sync.WaitGroup // results on their way to the store: see local.go
	stuck   atomic.Int64   // results that wait for the broker to take them
	alone   chan struct{}  // held by the one suspect that runs: see again.go

	mu      sync.Mutex
	running map[string]chan struct{} // by result id: closed when it is done
	jobs    map[jobKey]*together     // those of which a request is in hand
}

// Run serves until soft ends, then finishes what is in hand; the end of hard
// aborts that. It returns when nothing is in hand any more.
func Run(soft, hard context.Context, cfg Config) error {
	if cfg.Slots == 0 {
		cfg.Slots = DefaultSlots
	}
	w := &worker{cfg: cfg, hard: hard, slots: pull.NewSlots(cfg.Slots), alone: make(chan struct{}, 1), running: map[string]chan struct{}{}, jobs: map[jobKey]*together{}}
	var err error
	if w.cancels, err = cfg.Broker.Cancels.Watch(); err != nil {
		return fmt.Errorf("listen for cancels: %w", err)
	}
	defer w.cancels.Close()
	w.local = jobs.NewLocalWork(cfg.Broker)
	w.owner, err = jobs.StartOwner(hard, cfg.Broker, jobs.OwnerConfig{
		Queues: cfg.Queues, Name: cfg.Name, Cancels: w.cancels, Priced: cfg.Router.Priced, Tracer: cfg.Tracer, Observer: cfg.Observer, Log: cfg.Log,
		HandedBack: cfg.HandedBack, Local: w.local,
	})
	if err != nil {
		return fmt.Errorf("take jobs: %w", err)
	}
	service, err := jobs.StartService(cfg.Broker, cfg.Queues, cfg.Log)
	if err != nil {
		w.owner.Stop()
		return fmt.Errorf("start the micro service: %w", err)
	}
	stop, err := w.take()
	if err == nil {
		if cfg.Ready != nil {
			cfg.Ready()
		}
		<-soft.Done()
	}
	// Owning stops with the taking: another process goes on with our jobs while
	// we finish the calls that are in hand.
	service.Stop()
	w.owner.Stop()
	stop()
	return errors.Join(err, cfg.Broker.Conn().FlushTimeout(time.Second))
}

// take begins to take work; stop takes no more, and returns when nothing is in
// hand.
func (w *worker) take() (stop func(), err error) {
	if w.local != nil {
		return w.takeLocal(w.local), nil
	}
	pullers, err := w.pull()
	return func() { w.stop(pullers) }, err
}

// pull starts one puller per queue; all share the slots.
func (w *worker) pull() ([]*pull.Puller, error) {
	b := w.cfg.Broker
	var pullers []*pull.Puller
	w.slots.Expect(len(w.cfg.Queues))
	for queue, limit := range w.cfg.Queues {
		p, err := pull.Start(w.hard, pull.Config{
			Conn: b.Conn(), Stream: b.Names.WorkStream(), Consumer: b.Names.WorkersConsumer(queue),
			AckWait: jobs.AckWait, Heartbeat: jobs.Heartbeat, Slots: w.slots, Handle: w.handle,
			Ensure:  func(ctx context.Context) error { return b.Setup(ctx, map[string]int{queue: limit}) },
			LastSeq: b.Work.LastSeq,
			Paused:  func() bool { return w.stuck.Load() > 0 },
			Log:     w.cfg.Log,
		})
		if err != nil {
			return pullers, fmt.Errorf("pull from queue %s: %w", queue, err)
		}
		pullers = append(pullers, p)
	}
	return pullers, nil
}

func (w *worker) stop(pullers []*pull.Puller) {
	var wg sync.WaitGroup
	for _, p := range pullers {
		wg.Go(p.Stop)
	}
	wg.Wait()
}

// handle is what happens to one request: the list at the top of this file.
func (w *worker) handle(d *pull.Delivery) {
	ctx := d.Context()
	work, err := jobs.ReadWork(ctx, w.cfg.Broker, d.Msg)
	if err != nil {
		w.reject(d, err)
		return
	}
	done, err := w.begin(ctx, work)
	if err != nil {
		w.giveUp(d)
		return
	}
	defer done()
	out, err := w.finish(ctx, work, d.First() && work.Certain(d.Published))
	switch {
	case errors.Is(err, errOver):
		d.Ack()
	case err != nil:
		w.giveUp(d)
	default:
		w.settle(d, work, out)
	}
}

// finish brings a request to its result, or to a wait. first says that nobody
// can have begun it before: then there is nothing to look up.
func (w *worker) finish(ctx context.Context, work *jobs.Work, first bool) (jobs.ResultMeta, error) {
	defer w.busy()()
	if !first {
		return w.finishAgain(ctx, work)
	}
	return w.keep(ctx, work, w.answer(ctx, work, nil))
}

// busy has a slot counted as busy until the returned function is called.
func (w *worker) busy() (free func()) {
	o := w.cfg.Observer
	if o == nil {
		return func() {}
	}
	o.Began()
	return o.Ended
}

// keep stores what became of a request.
func (w *worker) keep(ctx context.Context, work *jobs.Work, a answer) (jobs.ResultMeta, error) {
	switch {
	case a.parked != nil:
		return w.park(ctx, work, a.parked)
	case a.result != nil:
		out, err := w.store(work, a.result)
		if err == nil {
			work.Stored(out)
		}
		return out, err
	}
	return jobs.ResultMeta{}, errGivenUp
}

// errGivenUp means that this process may not go on with a request.
var errGivenUp = errors.New("given up")

// errOver means that the job has ended without this request.
var errOver = errors.New("its job has ended")

// settle tells the owner and acknowledges, in this order: an owner that hears
// of neither finds the result when it looks.
func (w *worker) settle(d *pull.Delivery, work *jobs.Work, out jobs.ResultMeta) {
	w.owner.Stored(work.Queue, work.Job, out)
	d.Ack()
}

// giveUp leaves a request to others: at once where this process is stopping;
// otherwise the broker has stopped counting on us by itself.
func (w *worker) giveUp(d *pull.Delivery) {
	if errors.Is(context.Cause(d.Context()), pull.ErrLost) {
		w.at(w.cfg.Log.Warn(), d).Msg("aborted a call that could not be kept alive: the broker does not answer")
		return
	}
	d.Nak()
}

// at says in a line of the log which request it is about.
func (w *worker) at(line *zerolog.Event, d *pull.Delivery) *zerolog.Event {
	address, ok := w.cfg.Broker.Names.Parse("work", d.Msg.Subject)
	if !ok {
		return line.Str("subject", d.Msg.Subject)
	}
	return line.Str("queue", address.Queue).Str("job", address.Job).Int("index", address.Index)
}

// reject deals with a message that is no request, or whose body cannot be read.
func (w *worker) reject(d *pull.Delivery, err error) {
	if d.Context().Err() != nil {
		w.giveUp(d)
		return
	}
	w.at(w.cfg.Log.Warn(), d).Err(err).Msg("cannot read a request; its owner feeds it again")
	d.Ack()
}

// begin enters the request into the table of running ones, after waiting for
// the same one to end. The returned function takes it out again.
func (w *worker) begin(ctx context.Context, work *jobs.Work) (done func(), err error) {
	key := work.Key()
	for {
		w.mu.Lock()
		other := w.running[key]
		if other == nil {
			mine := make(chan struct{})
			w.running[key] = mine
			w.mu.Unlock()
			return func() {
				w.mu.Lock()
				delete(w.running, key)
				w.mu.Unlock()
				close(mine)
			}, nil
		}
		w.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lookUp asks for a stored result until it is told.
func (w *worker) lookUp(ctx context.Context, work *jobs.Work) (out jobs.ResultMeta, stored bool, err error) {
	err = w.insist(ctx, work, "look up a result", func(ctx context.Context) error {
		out, stored, err = w.cfg.Broker.Results.Meta(ctx, work.Queue, work.Job, work.Index)
		return err
	})
	return out, stored, err
}
