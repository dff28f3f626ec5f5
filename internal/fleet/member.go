package fleet

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/router"
)

// Admit implements [router.Limiter]: it asks the coordinator, whose answer is
// due within a second. Where there is no coordinator it returns a
// [router.BusyError] that is ready [RetryAway] ahead: no call is made without a
// permit, and asking again soon makes sense. ctx bounds the asking; its cause is
// returned when it ends first.
//
// A refusal leaves this worker a place in the line of all workers, one for each
// deployment. ReadyAt is its turn by the rates, or zero where a call that ends
// makes room. When it is the worker's turn, the handlers of [Fleet.OnRoom] are
// called, and the room is kept for it for a moment.
func (f *Fleet) Admit(ctx context.Context, deployment string, l router.Limits, tokens int) (router.Permit, error) {
	return f.admit(ctx, deployment, l, tokens, true)
}

// Wait takes a place for one call as Admit does, and waits until there is one:
// in the order of asking, over all workers. It outlasts coordinators. It returns
// the cause when ctx ends first, and [ErrClosed] when the fleet is left.
func (f *Fleet) Wait(ctx context.Context, deployment string, l router.Limits, tokens int) (router.Permit, error) {
	return f.admit(ctx, deployment, l, tokens, false)
}

func (f *Fleet) admit(ctx context.Context, deployment string, l router.Limits, tokens int, once bool) (router.Permit, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	limits := wire(l)
	if limits.none() {
		return free{}, nil
	}
	p := &pending{ask: ask{Deployment: deployment, Limits: limits, Tokens: max(0, tokens), Once: once}, answer: make(chan outcome, 1)}
	if err := f.put(p); err != nil {
		return nil, err
	}
	var late <-chan time.Time
	if once {
		timer := time.NewTimer(answerIn)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case got := <-p.answer:
		return got.result()
	case <-ctx.Done():
		if got, was := f.takeBack(p); was && got.permit != nil {
			got.permit.Done(0, false)
		}
		return nil, context.Cause(ctx)
	case <-late:
		if got, was := f.takeBack(p); was {
			return got.result()
		}
		return nil, &router.BusyError{Deployment: deployment, ReadyAt: time.Now().Add(RetryAway)}
	}
}

// pending is an ask that has no answer yet.
type pending struct {
	ask
	answer chan outcome
	sent   time.Time
}

type outcome struct {
	permit *permit
	err    error
}

func (o outcome) result() (router.Permit, error) {
	if o.err != nil {
		return nil, o.err
	}
	return o.permit, nil
}

// put sends an ask off.
func (f *Fleet) put(p *pending) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if now := time.Now(); p.Once && !f.reachable(now) {
		return &router.BusyError{Deployment: p.Deployment, ReadyAt: now.Add(RetryAway)}
	}
	f.outbox.ask(p)
	signal(f.kick)
	return nil
}

// reachable reports whether there is a coordinator as far as can be known. The
// caller holds mu.
func (f *Fleet) reachable(now time.Time) bool {
	l := &f.leader
	return l.epoch != 0 && !l.away && (l.until.IsZero() || !reached(now, l.until))
}

// takeBack withdraws an ask, or returns the answer that came all the same.
func (f *Fleet) takeBack(p *pending) (outcome, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.outbox.withdraw(p) {
		signal(f.kick)
		return outcome{}, false
	}
	return <-p.answer, true
}

// permit is a place for one call. It is held until it is done.
type permit struct {
	f          *Fleet
	key        permitKey
	deployment string
	limits     limits
	tokens     int
}

// Done implements [router.Permit]. A second call does nothing.
func (p *permit) Done(tokens int, sent bool) {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.held[p.key] != p {
		return
	}
	delete(p.f.held, p.key)
	p.f.outbox.done(p.key, tokens, sent)
	signal(p.f.kick)
}

// free is the permit where there is no limit.
type free struct{}

func (free) Done(int, bool) {}

func (l limits) none() bool { return l == limits{} }

// receive takes an answer of the coordinator, or the server's word that it is
// not there.
func (f *Fleet) receive(msg *nats.Msg) {
	from := sender(msg.Subject)
	if unreachable(msg) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if from == f.leader.id {
			f.leader.away = true // until its next beacon
			f.refuseOnce()
		}
		return
	}
	var d down
	if err := json.Unmarshal(msg.Data, &d); err != nil {
		f.log.Warn().Err(err).Msg("fleet: an answer that cannot be read")
		return
	}
	f.take(from, &d)
	f.tellRoom(d.Room)
	f.cooldowns.hearAll(d.Cooldowns, nil)
}

// refuseOnce answers those who do not wait, when the coordinator is away.
func (f *Fleet) refuseOnce() {
	for _, p := range f.asks {
		if p.Once {
			delete(f.asks, p.ID)
			p.answer <- outcome{err: &router.BusyError{Deployment: p.Deployment, ReadyAt: time.Now().Add(RetryAway)}}
		}
	}
}

func (f *Fleet) take(from string, d *down) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from != f.leader.id || d.Epoch != f.leader.epoch {
		return
	}
	if f.closed {
		if d.Ack >= f.bye && f.bye != 0 {
			f.bye = 0
			close(f.left)
		}
		return
	}
	// The lease ran for this long when the answer was written, which was after
	// what it answers was sent.
	if sent, ok := f.outbox.acknowledge(d.Ack); ok {
		if until := sent.Add(fromMicros(d.Lease)); until.After(f.leader.until) {
			f.leader.until = until
		}
	}
	fresh := !reached(time.Now(), f.leader.until)
	f.got = max(f.got, d.Granted)
	for _, a := range d.Answers {
		f.takeAnswer(a, fresh)
	}
	for _, id := range d.Missing {
		f.outbox.resend(id)
	}
	if d.Hello {
		f.outbox.repeat()
	} else {
		f.meet.Do(func() { close(f.met) })
	}
	if d.Hello || len(f.unsent) > 0 || len(f.dones) > 0 {
		signal(f.kick)
	}
}

func (f *Fleet) takeAnswer(a answer, fresh bool) {
	p := f.asks[a.Ask]
	key := permitKey{f.leader.epoch, a.N}
	switch {
	case a.N != 0 && p != nil && fresh:
		delete(f.asks, a.Ask)
		made := &permit{f: f, key: key, deployment: p.Deployment, limits: p.Limits, tokens: p.Tokens}
		f.held[key] = made
		p.answer <- outcome{permit: made}
	case a.N != 0:
		f.outbox.done(key, 0, false)
		if p != nil { // an answer older than the lease: ask again
			delete(f.asks, a.Ask)
			f.outbox.ask(p)
		}
	case p != nil && p.Once:
		delete(f.asks, a.Ask)
		p.answer <- outcome{err: &router.BusyError{Deployment: p.Deployment, ReadyAt: readyIn(a.After)}}
	}
}

func readyIn(after int64) time.Time {
	if after == 0 {
		return time.Time{}
	}
	return time.Now().Add(fromMicros(after))
}

// OnRoom calls handle when there is room for a call to a deployment that this
// worker was refused for, so that it asks again. Calls come one after the other;
// handle must return soon, and must not wait for a permit. There is no way to
// take it back.
func (f *Fleet) OnRoom(handle func(deployment string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onRoom = append(f.onRoom, handle)
}

func (f *Fleet) tellRoom(deployments []string) {
	if len(deployments) == 0 {
		return
	}
	f.mu.Lock()
	handlers := slices.Clone(f.onRoom)
	f.mu.Unlock()
	for _, handle := range handlers {
		for _, d := range deployments {
			handle(d)
		}
	}
}
