package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/pull"
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
	Cancels *Cancels       // required; the caller closes it after Stop
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

// Owner takes jobs from the served queues and sees each to its end: it feeds
// requests, counts results, and writes the state. It may die at any time: the
// next owner goes on from what is stored. Make one with [Broker.StartOwner].
type Owner struct {
	b       *Broker
	cfg     OwnerConfig
	hard    context.Context
	pullers []*pull.Puller
	subs    []*nats.Subscription
	shares  map[string]*shares // by queue

	quit chan struct{} // closed by Stop: hand every job back
	bg   sync.WaitGroup

	mu   sync.Mutex
	live map[jobKey]*owned
}

// StartOwner begins to take jobs. The end of hard drops the jobs in hand where
// they stand; Stop hands them back properly and must be called in any case.
func (b *Broker) StartOwner(hard context.Context, cfg OwnerConfig) (*Owner, error) {
	if cfg.Slots == 0 {
		cfg.Slots = DefaultOwnedJobs
	}
	if cfg.UnservedAfter == 0 {
		cfg.UnservedAfter = DefaultUnservedAfter
	}
	o := &Owner{
		b: b, cfg: cfg, hard: hard, shares: map[string]*shares{},
		quit: make(chan struct{}), live: map[jobKey]*owned{},
	}
	if err := b.heedListeners(o.listenedTo); err != nil { // of a broker whose rights are older than events
		cfg.Log.Warn().Err(err).Msg("cannot hear who wants events of requests: none are sent")
	}
	for queue, limit := range cfg.Queues {
		o.shares[queue] = newShares(limit)
		sub, err := b.nc.Subscribe(b.names.Progress(queue, "*"), o.hearProgress)
		if err != nil {
			return nil, err
		}
		o.subs = append(o.subs, sub)
		if err := b.explain(b.watch.Subscribed(sub.Subject)); err != nil {
			return nil, err
		}
	}
	slots := pull.NewSlots(cfg.Slots)
	slots.Expect(len(cfg.Queues))
	for queue, limit := range cfg.Queues {
		p, err := pull.Start(hard, pull.Config{
			Conn: b.nc, Stream: b.names.JobsStream(), Consumer: b.names.OwnersConsumer(queue),
			AckWait: AckWait, Heartbeat: Heartbeat, Slots: slots, Handle: o.take,
			Ensure: func(ctx context.Context) error { return b.setup(ctx, map[string]int{queue: limit}) },
			Paused: o.storeFull(), Log: cfg.Log,
		})
		if err != nil {
			o.Stop()
			return nil, err
		}
		o.pullers = append(o.pullers, p)
	}
	o.bg.Add(1)
	go o.housekeeping()
	return o, nil
}

// Stop takes no further job and hands those in hand back, so that another
// process goes on with them at once.
func (o *Owner) Stop() {
	close(o.quit)
	for _, p := range o.pullers {
		p.Stop()
	}
	for _, sub := range o.subs {
		_ = sub.Unsubscribe()
	}
	o.b.ignoreListeners()
	o.bg.Wait()
}

// Stored passes on that a result is stored: straight to the job's owner where
// that is this process, else over the broker.
func (o *Owner) Stored(queue, job string, out Outcome) {
	if j := o.owned(jobKey{queue, job}); j != nil {
		j.inbox.put(out)
		return
	}
	o.b.TellStored(queue, job, out)
}

// Settle ends what was taken from [LocalWork]: with what is stored of it, or with
// an error, to be fed again.
func (o *Owner) Settle(w *Work, out Outcome, err error) {
	plenty := o.b.local.done(w)
	if err != nil {
		return
	}
	switch j := o.owned(jobKey{w.Queue, w.Job}); {
	case j == nil: // whoever owns the job next finds the result
	case plenty && out.Status == schema.StatusSucceeded && !w.Watched():
		j.inbox.putLater(out)
	default:
		j.inbox.put(out)
	}
}

func (o *Owner) owned(key jobKey) *owned {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.live[key]
}

// TellStored tells a job's owner, wherever it is, that a result is stored. The
// word may be lost: owners also look for themselves every few seconds.
func (b *Broker) TellStored(queue, job string, out Outcome) {
	m := nats.NewMsg(b.names.Stored(queue, job))
	out.header(m.Header, job)
	_ = b.nc.PublishMsg(asNewer(m))
}

// listenedTo has the present state of a job told to who has begun to listen.
func (o *Owner) listenedTo(key jobKey) {
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

// QueueCap returns the cap of a queue: the requests it may have in flight on
// all workers together.
func (b *Broker) QueueCap(ctx context.Context, queue string) (int, error) {
	limit := 0
	err := b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		consumer, err := js.Consumer(ctx, b.names.WorkStream(), b.names.WorkersConsumer(queue))
		if err == nil {
			limit = consumer.CachedInfo().Config.MaxAckPending
		}
		return err
	})
	return limit, err
}

// headerWanted travels on progress messages between owners.
const headerWanted = "Pelton-Wanted"

func (o *Owner) hearProgress(m *nats.Msg) {
	at, ok := o.b.names.Parse("progress", m.Subject)
	if !ok {
		return
	}
	wanted, err := strconv.Atoi(m.Header.Get(headerWanted))
	if s := o.shares[at.Queue]; s != nil && err == nil {
		s.heard(at.Job, wanted, time.Now())
	}
}

// storeFull returns a check that is made before every pull: no new job is begun
// in a store that is nearly full.
func (o *Owner) storeFull() func() bool {
	was := false
	return func() bool {
		full := o.b.nearlyFull(o.hard)
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
func (o *Owner) named(line *zerolog.Event, d *pull.Delivery) *zerolog.Event {
	at, ok := o.b.names.Parse("jobs", d.Msg.Subject)
	if ok {
		_, want, _ := o.b.readJob(at.Queue, d)
		line = line.Str("queue", at.Queue).Str("job", want.ID)
	}
	return line.Uint64("sequence", d.Sequence)
}

// take handles one job message: it returns when the job has ended, or is
// somebody else's.
func (o *Owner) take(d *pull.Delivery) {
	if err := o.own(d); err != nil {
		later := (*laterError)(nil)
		switch {
		case errors.As(err, &later):
			d.NakAfter(later.wait)
			return
		case errors.Is(err, errFenced), errors.Is(err, pull.ErrLost):
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

// workIndexes lists the indexes of a job that are in the work stream: queued
// or in the hands of a worker. since is when the stream was made: of what was fed
// before, it knows nothing.
func (b *Broker) workIndexes(ctx context.Context, queue, job string) (present map[int]bool, since time.Time, err error) {
	if b.local != nil {
		return b.local.indexes(queue, job), time.Time{}, nil // its readers end with it
	}
	info, err := b.subjects(ctx, b.names.WorkStream(), b.names.WorkOf(queue, job))
	if err != nil {
		return nil, time.Time{}, err
	}
	indexes := make(map[int]bool, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		if at, ok := b.names.Parse("work", subject); ok {
			indexes[at.Index] = true
		}
	}
	return indexes, info.Created, nil
}

// purgeWork removes what is left of a job in the work stream.
func (b *Broker) purgeWork(ctx context.Context, queue, job string) error {
	if b.local != nil {
		b.local.purge(jobKey{queue, job})
		return nil
	}
	if err := b.purge(ctx, b.names.WorkStream(), b.names.WorkOf(queue, job)); err != nil {
		return fmt.Errorf("purge the work of job %s: %w", job, err)
	}
	return nil
}

// subjects describes a stream with the subjects that match a filter.
func (b *Broker) subjects(ctx context.Context, stream, filter string) (info *jetstream.StreamInfo, err error) {
	err = b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err == nil {
			info, err = s.Info(ctx, jetstream.WithSubjectFilter(filter))
		}
		return err
	})
	return info, err
}

// purge removes the messages of a stream that match a filter.
func (b *Broker) purge(ctx context.Context, stream, filter string) error {
	return b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeSubject(filter))
	})
}
