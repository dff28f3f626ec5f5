// Package owner sees jobs to their ends: it takes them from the served queues, feeds
// their requests to the queue, counts their results, and writes their states.
//
// One process owns a job for as long as it renews the job's record. It may die at
// any time: the next owner goes on from what is stored. run.go holds the one loop
// that a job's owner is; what it decides by, window and policy, reads no clock and
// knows no broker.
package owner

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pelton/jobs/queue"
	"pelton/jobs/store"
	"pelton/schema"
)

// DefaultUnservedAfter is the patience with jobs of unknown queues.
const DefaultUnservedAfter = 30 * time.Second

// DefaultJobs is how many jobs one process owns at once.
const DefaultJobs = 256

// Config says which jobs a process owns. Store, Feeder, Queues, Name and Cancels are
// required.
type Config struct {
	Store   *store.Store       // set up
	Feeder  queue.Feeder       // where requests go
	Queues  map[string]int     // the served queues, and the cap each is made with
	Name    string             // of this worker, for people
	Jobs    int                // at once; 0: [DefaultJobs]
	Cancels *store.CancelWatch // the caller closes it after Stop
	Log     zerolog.Logger

	// Priced reports whether the cost of a model's calls is known: a job with a
	// limit on its cost is refused where it is not. Nil: no job is refused.
	Priced func(model string) bool

	// Observer counts. Nil: nobody does.
	Observer Observer

	// Tracer follows jobs. Nil: their requests carry the producer's traceparent.
	Tracer Tracer

	// HandedBack is told why a job could not be run here, such as a full temporary
	// directory; it is tried again after a while. Nil: only the log is told.
	HandedBack func(error)

	// UnservedAfter is how old a job of a queue that nobody has ever served
	// gets before it is ended: a worker for it may be starting just now.
	// 0: [DefaultUnservedAfter].
	UnservedAfter time.Duration
}

// Owner takes jobs from the served queues and sees each to its end. Make one with
// [Start]. It is safe for concurrent use.
type Owner struct {
	Config
	hard       context.Context
	stopTaking func()
	subs       []func()           // end the subscriptions
	shares     map[string]*shares // by queue

	quit chan struct{} // closed by Stop: hand every job back
	bg   sync.WaitGroup

	runs runs // the jobs in hand
}

// Start begins to take jobs. The end of hard drops the jobs in hand where
// they stand; Stop hands them back properly and must be called in any case.
func Start(hard context.Context, cfg Config) (*Owner, error) {
	if cfg.Jobs == 0 {
		cfg.Jobs = DefaultJobs
	}
	if cfg.UnservedAfter == 0 {
		cfg.UnservedAfter = DefaultUnservedAfter
	}
	o := &Owner{
		Config: cfg, hard: hard, shares: map[string]*shares{},
		quit: make(chan struct{}),
	}
	if err := o.Store.Live.OnListener(o.onListener); err != nil { // of a broker whose rights are older than events
		cfg.Log.Warn().Err(err).Msg("cannot hear who wants events of requests: none are sent")
	}
	for queue, limit := range cfg.Queues {
		s := newShares(limit)
		o.shares[queue] = s
		stop, err := o.Store.Live.OnDemand(queue, func(job string, demand int) { s.setOther(job, demand, time.Now()) })
		if err != nil {
			o.Stop()
			return nil, err
		}
		o.subs = append(o.subs, stop)
	}
	var err error
	o.stopTaking, err = o.Store.ConsumeJobs(hard, store.Consuming{
		Queues: cfg.Queues, Slots: cfg.Jobs, Handle: o.handleJob, Paused: o.storeFull(), Log: cfg.Log,
	})
	if err != nil {
		o.Stop()
		return nil, err
	}
	o.bg.Add(1)
	go o.housekeeping()
	return o, nil
}

// Stop takes no further job and hands those in hand back, so that another
// process goes on with them at once. It is called once.
func (o *Owner) Stop() {
	close(o.quit)
	if o.stopTaking != nil {
		o.stopTaking()
	}
	for _, stop := range o.subs {
		stop()
	}
	o.Store.Live.StopListening()
	o.bg.Wait()
}

// Stored passes on that a result is stored, or that a request waits: straight to
// the job's owner where that is this process, else over the broker. The word may be
// lost: owners also look for themselves every few seconds. With hurry false it may
// take a moment.
func (o *Owner) Stored(job store.JobKey, meta store.ResultMeta, hurry bool) {
	switch r := o.runs.of(job); {
	case r == nil:
		o.Store.Live.PublishStored(job, meta)
	case hurry:
		r.inbox.put(meta)
	default:
		r.inbox.putLater(meta)
	}
}

// unregister has this process's workers, and the queue's shares, forget a run.
func (o *Owner) unregister(r *run) {
	if key := r.rec.Key(); o.runs.remove(r) {
		if s := o.shares[key.Queue]; s != nil {
			s.remove(key.ID)
		}
	}
}

// onListener has the present state of a job published for who has begun to listen.
func (o *Owner) onListener(job store.JobKey) {
	if r := o.runs.of(job); r != nil {
		r.progress.requested.Store(true)
	}
}

// publishEvent publishes what the owner sees of a request, where somebody listens.
func publishEvent(live *store.Live, job store.JobKey, index int, e schema.Event) {
	if live.Listened(job) {
		live.PublishEvent(job, index, e)
	}
}

// housekeeping keeps the caps and the shares up to date, and ends jobs of
// queues that nobody serves.
func (o *Owner) housekeeping() {
	defer o.bg.Done()
	caps := time.NewTicker(3 * store.Heartbeat)
	defer caps.Stop()
	sweep := time.NewTicker(store.Heartbeat)
	defer sweep.Stop()
	unserved := time.NewTicker(o.UnservedAfter / 2)
	defer unserved.Stop()
	o.refreshCaps()
	for {
		select {
		case <-caps.C:
			o.refreshCaps()
		case now := <-sweep.C:
			for _, s := range o.shares {
				s.sweep(now)
			}
		case <-unserved.C:
			o.endUnserved()
		case <-o.quit:
			return
		}
	}
}

func (o *Owner) refreshCaps() {
	for queue, s := range o.shares {
		ctx, cancel := context.WithTimeout(o.hard, store.Heartbeat)
		if limit, err := o.Store.QueueCap(ctx, queue); err == nil {
			s.setCap(limit)
		}
		cancel()
	}
}

// storeFull returns a check that is made before every pull, by the pullers of all
// queues at once: no new job is begun in a store that is nearly full.
func (o *Owner) storeFull() func() bool {
	var was atomic.Bool
	return func() bool {
		full := o.Store.Full(o.hard)
		if !was.Swap(full) && full {
			o.Log.Error().Msg("the store is nearly full: no further jobs are begun until results age out or are removed with `pelton rm`")
		}
		return full
	}
}

// retryJob is how long a job rests that could not be run for a reason of ours,
// such as a full temporary directory.
const retryJob = 5 * time.Second

// errReleased ends a job's loop in a process that drains.
var errReleased = errors.New("the worker is stopping")

// logFields says in a line of the log which job it is about. It reads the message
// again, which such lines are rare enough for.
func logFields(jobs *store.Jobs, line *zerolog.Event, d *store.JobDelivery) *zerolog.Event {
	_, rec, _ := jobs.Parse(d.JobMessage)
	return line.Str("queue", d.Queue).Str("job", rec.ID).Uint64("sequence", d.Seq)
}

// handleJob handles one job message: it returns when the job has ended, or is
// somebody else's.
func (o *Owner) handleJob(d *store.JobDelivery) {
	err := o.acceptJob(d)
	later := (*laterError)(nil)
	switch {
	case err == nil:
		d.Ack()
	case errors.As(err, &later):
		d.NakAfter(later.wait)
	case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrLost):
		// The message may be another owner's by now: not a word about it.
		logFields(o.Store.Jobs, o.Log.Info(), d).Err(err).Msg("gave up a job")
	case !errors.Is(err, errReleased) && o.hard.Err() == nil:
		logFields(o.Store.Jobs, o.Log.Warn(), d).Err(err).Msg("the job is handed back, to be tried again shortly")
		d.NakAfter(retryJob)
		if o.HandedBack != nil {
			o.HandedBack(err)
		}
	default:
		d.Nak()
	}
}
