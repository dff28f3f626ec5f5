package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// elect takes the lease when it is free, and coordinates for as long as it lasts.
func (f *Fleet) elect() {
	defer f.bg.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-f.quit:
			return
		case <-f.wake:
		case <-timer.C:
		}
		l, in := f.campaign()
		if l != nil {
			f.lead(l)
			in = 0
		}
		if f.ended() { // what it has just given up it must not take again
			return
		}
		timer.Reset(in)
	}
}

// ended reports whether this worker is leaving.
func (f *Fleet) ended() bool {
	select {
	case <-f.quit:
		return true
	default:
		return false
	}
}

// campaign takes the lease if it can be had, and else returns when to look again.
func (f *Fleet) campaign() (*lease, time.Duration) {
	f.mu.Lock()
	due, vacant, known := f.seen.at.Add(LeaseTerm+leaseMargin), f.vacant, f.leader.epoch
	f.mu.Unlock()
	if now := time.Now(); !vacant && now.Before(due) {
		return nil, due.Sub(now)
	}
	ctx, cancel := context.WithTimeout(f.ctx, storeIn)
	defer cancel()
	l, in, err := f.claim(ctx, known)
	if err != nil {
		level := zerolog.DebugLevel
		if !f.trouble { // once until it works again
			level = zerolog.WarnLevel
		}
		f.log.WithLevel(level).Err(err).Msg("fleet: the coordinator's lease cannot be read or written: no permits until it can")
		f.reopen()
	}
	f.trouble = err != nil
	return l, in
}

// reopen makes the bucket again where a server came back without its store.
func (f *Fleet) reopen() {
	ctx, cancel := context.WithTimeout(f.ctx, storeIn)
	defer cancel()
	kv, err := openBucket(ctx, f.js, f.subjects.bucket, f.replicas)
	if err != nil {
		f.log.Debug().Err(err).Msg("fleet: no bucket")
		return
	}
	f.mu.Lock()
	f.store = kv
	f.mu.Unlock()
}

func (f *Fleet) claim(ctx context.Context, known uint64) (*lease, time.Duration, error) {
	was, revision, err := readLease(ctx, f.kv())
	if err != nil {
		return nil, renewRetry, err
	}
	// Its own earlier lease a member may go on from at once.
	if in := f.observe(was, revision); in > 0 && revision != 0 && !was.Released && was.ID != f.id {
		return nil, in, nil
	}
	l, err := takeLease(ctx, f, was, revision, known)
	if errors.Is(err, errTaken) {
		return nil, 0, nil
	}
	return l, renewRetry, err
}

// observe notes the lease as it stands in the bucket, and returns how long it
// may still run: its holder had it when this worker first saw this revision.
func (f *Fleet) observe(r record, revision uint64) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.vacant = false
	now := time.Now()
	if f.seen.revision != revision {
		f.seen.revision, f.seen.at = revision, now
		if r.Epoch > f.leader.epoch {
			f.follow(r.ID, r.Name, r.Epoch)
		}
	}
	return f.seen.at.Add(LeaseTerm + leaseMargin).Sub(now)
}

// lead coordinates until the lease ends or the fleet is left.
func (f *Fleet) lead(l *lease) {
	c := newCoordinator(f, l, time.Now())
	defer c.end()
	sub, err := f.nc.Subscribe(f.subjects.up(f.id, "*"), c.receive)
	if err != nil {
		f.log.Error().Err(err).Msg("fleet: cannot coordinate")
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	f.setLead(c)
	defer f.setLead(nil)
	c.log.Info().Str("member", f.id).Msg("fleet: this worker coordinates the limits")
	f.shine(l, false)

	timer := time.NewTimer(renewEvery)
	defer timer.Stop()
	for {
		select {
		case <-f.quit:
			f.resign(c, l)
			return
		case <-f.wake: // somebody else may lead
		case <-c.dirty:
		case <-timer.C:
			c.sweep()
		}
		if f.deposed(c) {
			c.log.Warn().Msg("fleet: another worker coordinates now")
			return
		}
		members := c.snapshot()
		ctx, cancel := context.WithDeadline(f.ctx, earlier(l.until, time.Now().Add(storeIn)))
		err := l.renew(ctx, members, false)
		cancel()
		switch {
		case err == nil:
			c.extend(l.until)
			c.raise(members)
			f.shine(l, false)
			timer.Reset(renewEvery)
		case errors.Is(err, errTaken), reached(time.Now(), l.until):
			c.log.Warn().Err(err).Msg("fleet: the lease could not be renewed: coordinates no longer")
			return
		default:
			timer.Reset(renewRetry)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// resign gives the lease up, so that another takes it at once.
func (f *Fleet) resign(c *coordinator, l *lease) {
	c.end()
	members := slices.DeleteFunc(c.snapshot(), func(m memberRecord) bool { return m.ID == f.id })
	ctx, cancel := context.WithTimeout(context.Background(), storeIn)
	defer cancel()
	if err := l.renew(ctx, members, true); err != nil {
		f.log.Debug().Err(err).Msg("fleet: the lease could not be given up")
		return
	}
	f.shine(l, true)
}

// shine tells the fleet who coordinates.
func (f *Fleet) shine(l *lease, vacant bool) {
	b := beacon{ID: f.id, Name: f.name, Epoch: l.epoch, Revision: l.revision, Vacant: vacant}
	f.hearBeacon(&b) // the way over the server is longer
	data, err := json.Marshal(b)
	if err == nil {
		err = f.nc.Publish(f.subjects.beacon(), data)
	}
	if err != nil {
		f.log.Debug().Err(err).Msg("fleet: beacon")
	}
}

func (f *Fleet) receiveBeacon(msg *nats.Msg) {
	var b beacon
	if json.Unmarshal(msg.Data, &b) == nil && b.ID != "" && b.ID != f.id {
		f.hearBeacon(&b)
	}
}

func (f *Fleet) hearBeacon(b *beacon) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.Epoch < f.leader.epoch {
		return
	}
	if b.Epoch > f.leader.epoch {
		f.follow(b.ID, b.Name, b.Epoch)
		f.seen.revision = 0
	}
	if b.Revision > f.seen.revision {
		f.seen.revision, f.seen.at = b.Revision, time.Now()
	}
	f.vacant = b.Vacant
	switch {
	case b.Vacant:
		f.leader.away = true
		signal(f.wake)
	case f.leader.away: // it is back
		f.leader.away, f.hello = false, true
		signal(f.kick)
	}
	if f.coordinator != nil && f.coordinator.epoch < b.Epoch {
		signal(f.wake)
	}
}

func (f *Fleet) setLead(c *coordinator) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.coordinator = c
}

// deposed reports whether a later coordinator has been heard of.
func (f *Fleet) deposed(c *coordinator) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader.epoch > c.epoch
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
