package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pelton/schema"
)

// DefaultUnservedAfter is the patience with jobs of unknown queues.
const DefaultUnservedAfter = 30 * time.Second

// DefaultOwnedJobs is how many jobs one process owns at once.
const DefaultOwnedJobs = 256

// OwnerConfig says which jobs a process owns.
type OwnerConfig struct {
	Queues  map[string]int // served queues and their caps
	Name    string         // of this worker, for people; required
	Slots   int            // jobs at once, 0: [DefaultOwnedJobs]
	Cancels *CancelWatch   //  required; the caller closes it after Stop
	Log     zerolog.Logger

	// Local is where requests go by hand, made with [NewLocalWork]. Nil: they go by
	// the work stream.
	Local *LocalWork

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

// Owner takes jobs from the served queues and sees each to its end: it feeds
// requests, counts results, and writes the state. It may die at any time: the
// next owner goes on from what is stored. Make one with [Broker.StartOwner].
type Owner struct {
	b          *Store
	cfg        OwnerConfig
	hard       context.Context
	stopTaking func()
	subs       []func()           // end the subscriptions
	shares     map[string]*shares // by queue

	quit chan struct{} // closed by Stop: hand every job back
	bg   sync.WaitGroup

	mu   sync.Mutex
	live map[JobKey]*owned
}

// StartOwner begins to take jobs. The end of hard drops the jobs in hand where
// they stand; Stop hands them back properly and must be called in any case.
func StartOwner(hard context.Context, b *Store, cfg OwnerConfig) (*Owner, error) {
	if cfg.Slots == 0 {
		cfg.Slots = DefaultOwnedJobs
	}
	if cfg.UnservedAfter == 0 {
		cfg.UnservedAfter = DefaultUnservedAfter
	}
	o := &Owner{
		b: b, cfg: cfg, hard: hard, shares: map[string]*shares{},
		quit: make(chan struct{}), live: map[JobKey]*owned{},
	}
	if err := b.Live.OnListener(o.listenedTo); err != nil { // of a broker whose rights are older than events
		cfg.Log.Warn().Err(err).Msg("cannot hear who wants events of requests: none are sent")
	}
	for queue, limit := range cfg.Queues {
		o.shares[queue] = newShares(limit)
		stop, err := b.Live.OnDemand(queue, func(job string, demand int) { o.shares[queue].heard(job, demand, time.Now()) })
		if err != nil {
			return nil, err
		}
		o.subs = append(o.subs, stop)
	}
	var err error
	o.stopTaking, err = b.ConsumeJobs(hard, Consuming{
		Queues: cfg.Queues, Slots: cfg.Slots, Handle: o.take, Paused: o.storeFull(), Log: cfg.Log,
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
// process goes on with them at once.
func (o *Owner) Stop() {
	close(o.quit)
	if o.stopTaking != nil {
		o.stopTaking()
	}
	for _, stop := range o.subs {
		stop()
	}
	o.b.Live.StopListening()
	o.bg.Wait()
}

// Stored passes on that a result is stored: straight to the job's owner where
// that is this process, else over the broker.
func (o *Owner) Stored(queue, job string, out ResultMeta) {
	if j := o.owned(JobKey{queue, job}); j != nil {
		j.inbox.put(out)
		return
	}
	o.b.Live.PublishStored(JobKey{queue, job}, out)
}

// Settle ends what was taken from [LocalWork]: with what is stored of it, or with
// an error, to be fed again.
func (o *Owner) Settle(w *Work, out ResultMeta, err error) {
	plenty := o.cfg.Local.done(w)
	if err != nil {
		return
	}
	switch j := o.owned(JobKey{w.Queue, w.Job}); {
	case j == nil: // whoever owns the job next finds the result
	case plenty && out.Status == schema.StatusSucceeded && !w.Watched():
		j.inbox.putLater(out)
	default:
		j.inbox.put(out)
	}
}

func (o *Owner) owned(key JobKey) *owned {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.live[key]
}

// listenedTo has the present state of a job told to who has begun to listen.
func (o *Owner) listenedTo(key JobKey) {
	if j := o.owned(key); j != nil {
		j.asked.Store(true)
	}
}

// housekeeping keeps the caps and the shares up to date, and ends jobs of
// queues that nobody serves.
func (o *Owner) housekeeping() {
	defer o.bg.Done()
	caps := time.NewTicker(3 * Heartbeat)
	defer caps.Stop()
	sweep := time.NewTicker(Heartbeat)
	defer sweep.Stop()
	unserved := time.NewTicker(o.cfg.UnservedAfter / 2)
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
		ctx, cancel := context.WithTimeout(o.hard, Heartbeat)
		if limit, err := o.b.QueueCap(ctx, queue); err == nil {
			s.setCap(limit)
		}
		cancel()
	}
}

// storeFull returns a check that is made before every pull: no new job is begun
// in a store that is nearly full.
func (o *Owner) storeFull() func() bool {
	was := false
	return func() bool {
		full := o.b.Full(o.hard)
		if full && !was {
			o.cfg.Log.Error().Msg("the store is nearly full: no further jobs are begun until results age out or are removed with `pelton rm`")
		}
		was = full
		return full
	}
}

// retryJob is how long a job rests that could not be run for a reason of ours,
// such as a full temporary directory.
const retryJob = 5 * time.Second

// named says in a line of the log which job it is about. It reads the message
// again, which such lines are rare enough for.
func (o *Owner) named(line *zerolog.Event, d *JobDelivery) *zerolog.Event {
	_, want, _ := o.b.Jobs.Parse(d.JobMessage)
	return line.Str("queue", d.Queue).Str("job", want.ID).Uint64("sequence", d.Seq)
}

// take handles one job message: it returns when the job has ended, or is
// somebody else's.
func (o *Owner) take(d *JobDelivery) {
	if err := o.own(d); err != nil {
		later := (*laterError)(nil)
		switch {
		case errors.As(err, &later):
			d.NakAfter(later.wait)
			return
		case errors.Is(err, ErrFenced), errors.Is(err, ErrLost):
			// The message may be another owner's by now: not a word about it.
			o.named(o.cfg.Log.Info(), d).Err(err).Msg("gave up a job")
			return
		case !errors.Is(err, errHandedBack) && o.hard.Err() == nil:
			o.named(o.cfg.Log.Warn(), d).Err(err).Msg("the job is handed back, to be tried again shortly")
			d.NakAfter(retryJob)
			if o.cfg.HandedBack != nil {
				o.cfg.HandedBack(err)
			}
			return
		}
		d.Nak()
		return
	}
	d.Ack()
}

// enlist makes the job known to this process's workers, and drop forgets it.
func (o *Owner) enlist(j *owned) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.live[j.name()] = j
}

func (o *Owner) drop(j *owned) {
	o.mu.Lock()
	last := o.live[j.name()] == j // else this process has taken the job anew
	if last {
		delete(o.live, j.name())
	}
	o.mu.Unlock()
	if s := o.shares[j.rec.Queue]; s != nil && last {
		s.drop(j.rec.ID)
	}
}
