package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/faultyllm"
)

// inject carries the schedule out. Faults that last overlap with those that come
// after them; it returns when all are over.
func (r *round) inject(ctx context.Context, steps []Step) {
	var wg sync.WaitGroup
	defer wg.Wait()
	begun := time.Now()
	for _, step := range steps {
		select {
		case <-time.After(step.After):
		case <-ctx.Done():
			return
		}
		// A fault whose targets are all gone or taken gives way to the next kind.
		for _, kind := range append([]Kind{step.Kind}, instead...) {
			do, target := r.prepare(ctx, kind, step)
			if do == nil {
				continue
			}
			r.say("  %5.1fs %s %s", time.Since(begun).Seconds(), kind, target)
			wg.Go(do)
			break
		}
	}
}

// instead are the faults that can nearly always be had.
var instead = []Kind{CutShort, KillWorker, StopReader, KillReader, UpstreamErrors}

// prepare finds a fault's target and reserves it. It returns nil when there is none.
func (r *round) prepare(ctx context.Context, kind Kind, step Step) (do func(), target string) {
	switch kind {
	case KillWorker, KillOwner, PauseWorker, PauseOwner, DrainWorker, CutShort, CutLong, CutSilent:
		s := r.seatFor(ctx, kind, step.Pick)
		if s == nil {
			return nil, ""
		}
		return func() {
			defer r.release(s)
			r.strike(ctx, kind, s, step.For)
		}, s.name
	case KillEmbedded, PauseEmbedded:
		s := r.seats[0]
		if !r.shape.Embedded || !r.reserve(s) {
			return nil, ""
		}
		return func() {
			defer r.release(s)
			r.strike(ctx, kind, s, step.For)
		}, s.name
	case KillServer, FullStore:
		if r.shape.Embedded || !r.reserveBroker() {
			return nil, ""
		}
		return func() {
			defer r.releaseBroker()
			if kind == KillServer {
				r.killServer(ctx, step.For)
			} else {
				r.fillStore(ctx, step.For)
			}
		}, ""
	case KillReader, StopReader:
		return r.prepareReader(kind, step.Pick)
	case SlowDisk:
		return func() { r.slowDisk(ctx, step.For) }, ""
	case UpstreamHangs, UpstreamErrors:
		return func() { r.harmUpstream(kind, step.For) }, ""
	}
	return nil, ""
}

// seatFor reserves a worker that is no server: the owner of a running job where
// the fault wants one.
func (r *round) seatFor(ctx context.Context, kind Kind, n uint64) *seat {
	if kind == KillOwner || kind == PauseOwner {
		ids := r.unended()
		for i := range ids {
			s := r.owner(ctx, ids[(n+uint64(i))%uint64(len(ids))])
			if s != nil && s.proxy != nil && r.reserve(s) {
				return s
			}
		}
		return nil
	}
	for i := range r.seats {
		s := r.seats[(n+uint64(i))%uint64(len(r.seats))]
		if s.proxy != nil && r.reserve(s) {
			return s
		}
	}
	return nil
}

// reserve takes a seat for one fault. That of the worker with the server stands
// for the broker too.
func (r *round) reserve(s *seat) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.busy || s.proxy == nil && r.broker {
		return false
	}
	s.busy = true
	if s.proxy == nil {
		r.broker = true
	}
	return true
}

func (r *round) release(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.busy = false
	if s.proxy == nil {
		r.broker = false
	}
}

func (r *round) reserveBroker() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.broker
	r.broker = true
	return !was
}

func (r *round) releaseBroker() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broker = false
}

// strike does a fault to one worker and heals it.
func (r *round) strike(ctx context.Context, kind Kind, s *seat, length time.Duration) {
	f := Fault{Kind: kind, Worker: s.name, Start: time.Now()}
	again := true
	switch kind {
	case KillWorker, KillOwner, KillEmbedded:
		s.proc.Kill()
		if kind != KillEmbedded {
			f.End = time.Now() // of the fault for this worker; the next life has a name of its own
		}
		rest(ctx, length)
	case DrainWorker:
		if s.proc.End(20 * time.Second) {
			f.Kind = KillWorker
		}
		f.End = time.Now()
	case PauseWorker, PauseOwner, PauseEmbedded:
		again = false
		if err := s.proc.Pause(); err != nil {
			r.say("pause of %s: %v", s.name, err)
			return
		}
		rest(ctx, length)
		_ = s.proc.Resume()
	case CutShort, CutLong:
		again = false
		s.proxy.Cut()
		rest(ctx, length)
		healed := time.Now()
		s.proxy.Heal()
		for i := 0; i < 250 && !s.proxy.Since(healed); i++ {
			rest(ctx, 20*time.Millisecond)
		}
	case CutSilent:
		again = false
		s.proxy.Silence()
		rest(ctx, length)
		s.proxy.Heal()
	}
	if again {
		if err := r.startSeat(ctx, s); err != nil {
			r.say("worker %d does not start again: %v", s.n, err)
		}
	}
	if f.End.IsZero() {
		f.End = time.Now()
	}
	r.note(f)
}

// rest waits, but not beyond the end of ctx: what was broken is healed all the same.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (r *round) killServer(ctx context.Context, length time.Duration) {
	f := Fault{Kind: KillServer, Start: time.Now()}
	r.server.Kill()
	rest(ctx, length)
	if err := persist(ctx, r.startServer); err != nil {
		r.say("the server does not start again: %v", err)
	}
	f.End = time.Now()
	r.note(f)
}

// fillStore takes all the room that the server has, and gives it back.
func (r *round) fillStore(ctx context.Context, length time.Duration) {
	f := Fault{Kind: FullStore, Start: time.Now()}
	js, err := jetstream.New(r.admin)
	if err == nil {
		err = persist(ctx, func(ctx context.Context) error { return fill(ctx, js) })
	}
	if err != nil {
		r.say("full store: %v", err)
	}
	rest(ctx, length)
	_ = persist(ctx, func(ctx context.Context) error {
		err := js.DeleteStream(ctx, "FILL")
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil
		}
		return err
	})
	f.End = time.Now()
	r.note(f)
}

// fill publishes until the server takes nothing more, not even a small message.
func fill(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "FILL", Subjects: []string{"chaos.fill"}})
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 64 << 10, 4 << 10, 64} {
		block := make([]byte, size)
		for {
			_, err := js.Publish(ctx, "chaos.fill", block, jetstream.WithRetryAttempts(0))
			var api *jetstream.APIError
			if errors.As(err, &api) {
				break // no room
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *round) prepareReader(kind Kind, n uint64) (do func(), target string) {
	r.mu.Lock()
	live := append([]*reader(nil), r.live...)
	r.mu.Unlock()
	for i := range live {
		d := live[(n+uint64(i))%uint64(len(live))]
		if d.command != (kind == KillReader) {
			continue
		}
		began := time.Now()
		if d.interrupt() {
			r.note(Fault{Kind: kind, Start: began, End: time.Now()})
			return func() {}, d.Job + " by " + d.By
		}
	}
	return nil, ""
}

// slowDisk has another process sync to the same file system all the time.
func (r *round) slowDisk(ctx context.Context, length time.Duration) {
	f := Fault{Kind: SlowDisk, Start: time.Now()}
	p, _, err := startRole(ctx, r.log, role{Disk: r.dir})
	if err != nil {
		r.say("slow disk: %v", err)
		return
	}
	rest(ctx, length)
	p.End(10 * time.Second)
	f.End = time.Now()
	r.note(f)
}

func (r *round) harmUpstream(kind Kind, length time.Duration) {
	f := Fault{Kind: kind, Start: time.Now()}
	if kind == UpstreamHangs {
		release := r.llm.Hold()
		time.Sleep(length)
		release()
	} else {
		r.setFaults(faultyllm.Rates{
			faultyllm.FaultServerError: 0.15, faultyllm.FaultRateLimit: 0.10, faultyllm.FaultReset: 0.05, faultyllm.FaultClose: 0.05,
		})
		time.Sleep(length)
		r.setFaults(usualFaults)
	}
	f.End = time.Now()
	r.note(f)
}

func (r *round) setFaults(rates faultyllm.Rates) {
	if err := r.llm.Update(func(c *faultyllm.Config) { c.Faults = maps.Clone(rates) }); err != nil {
		panic(fmt.Sprintf("rates of the harness's own: %v", err))
	}
}
