package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/rs/zerolog"

	"pelton/internal/nats/denied"
	"pelton/router"
	"pelton/schema"
)

// ErrClosed is returned to those who ask a fleet that was left.
var ErrClosed = errors.New("this worker has left the fleet")

// Fleet is a worker's membership in its fleet. It implements [router.Limiter].
// All its methods may be called concurrently. A router is joined to it so:
//
//	up, err := router.New(config, router.WithLimiter(f), router.WithCooldownSink(announce))
//	f.OnRoom(up.Wake)
//	f.OnCooldown(func(c fleet.Cooldown) { up.ApplyCooldown(router.Cooldown(c)) })
//
// where announce calls [Fleet.Announce].
type Fleet struct {
	id, name  string
	nc        *nats.Conn
	js        jetstream.JetStream
	subjects  subjects
	replicas  int
	log       zerolog.Logger
	cooldowns *cooldowns

	subs   []*nats.Subscription
	ctx    context.Context // ends when everything is over
	cancel context.CancelFunc
	quit   chan struct{} // closed to give the lease up
	wake   chan struct{} // look at the lease now
	kick   chan struct{} // there is something to send
	met    chan struct{} // closed when a coordinator has answered first
	meet   sync.Once
	bg     sync.WaitGroup
	close  sync.Once

	trouble bool // with the lease; elect's own

	sending sync.Mutex // held over composing and publishing: messages go out in their order

	mu          sync.Mutex
	store       jetstream.KeyValue
	closed      bool
	coordinator *coordinator // while this worker is it
	leader      leader
	vacant      bool // the lease was given up
	onRoom      []func(string)
	seen        struct {
		revision uint64
		at       time.Time
	} // of the lease, as last observed
	outbox
}

// leader is the coordinator as this worker knows it.
type leader struct {
	id, name string
	epoch    uint64
	away     bool      // it is known to be gone
	until    time.Time // its lease runs at least so long; zero: it has not answered yet
}

// Option changes how a worker joins.
type Option func(*Fleet)

// Replicas is how many servers keep the lease. Default 1.
func Replicas(n int) Option { return func(f *Fleet) { f.replicas = max(1, n) } }

// meetIn is how long Join waits for a coordinator's first answer.
const meetIn = 300 * time.Millisecond

// Join makes this process a member of the fleet on nc's account, under a name
// for people. It makes the bucket with the lease where it is missing, and fails
// when that cannot be had. ctx is for joining only.
//
// Join waits for a coordinator's answer, but not long: where the last one has
// just died, it returns before there is a new one. [Fleet.Close] must be called,
// before nc is closed.
func Join(ctx context.Context, nc *nats.Conn, names schema.Names, workerName string, log zerolog.Logger, opts ...Option) (*Fleet, error) {
	if nc.Opts.NoEcho {
		return nil, errors.New("join the fleet: the connection must not be made with NoEcho: a worker may have to ask itself")
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("join the fleet: %w", err)
	}
	f := &Fleet{
		id: nuid.Next(), name: workerName, nc: nc, js: js, subjects: subjectsOf(names), replicas: 1, log: log,
		cooldowns: newCooldowns(),
		quit:      make(chan struct{}), wake: make(chan struct{}, 1), kick: make(chan struct{}, 1), met: make(chan struct{}),
		outbox: newOutbox(),
	}
	for _, opt := range opts {
		opt(f)
	}
	if f.store, err = openBucketOf(ctx, nc, f.subjects.bucket, f.replicas); err != nil {
		return nil, fmt.Errorf("join the fleet: %w", err)
	}
	watch := denied.Watch(nc)
	refused := make(chan error, 1)
	call := watch.Begin(func(e *denied.Error) { refused <- e },
		f.subjects.prefix+">", "$KV."+f.subjects.bucket+".>", "$JS.API.DIRECT.GET.KV_"+f.subjects.bucket+".>")
	defer call.End()
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for subject, handle := range map[string]nats.MsgHandler{
		f.subjects.down(f.id, "*"): f.receive,
		f.subjects.beacon():        f.receiveBeacon,
		f.subjects.cooldown():      f.receiveCooldown,
	} {
		sub, err := nc.Subscribe(subject, handle)
		if err == nil {
			f.subs = append(f.subs, sub)
			err = watch.Subscribed(subject)
		}
		if err != nil {
			f.unsubscribe()
			f.cancel()
			return nil, fmt.Errorf("join the fleet: %w", err)
		}
	}
	f.bg.Add(2)
	go f.elect()
	go f.talk()
	timer := time.NewTimer(meetIn)
	defer timer.Stop()
	select {
	case <-f.met:
	case <-timer.C:
	case err := <-refused: // it would get no permit, ever
		f.Close()
		return nil, fmt.Errorf("join the fleet: %w", err)
	case <-ctx.Done():
		f.Close()
		return nil, fmt.Errorf("join the fleet: %w", context.Cause(ctx))
	}
	return f, nil
}

// Close leaves the fleet: permits still held are given back, those who wait get
// [ErrClosed], and the lease, if this worker has it, is handed over at once.
// Calls should have ended before. It takes about two seconds at most, where the
// broker is away. Calling it again does nothing.
func (f *Fleet) Close() {
	f.close.Do(func() {
		f.leave()
		close(f.quit)
		f.bg.Wait()
		f.unsubscribe()
		f.cancel()
		_ = f.nc.FlushTimeout(byeIn)
	})
}

func (f *Fleet) unsubscribe() {
	for _, sub := range f.subs {
		_ = sub.Unsubscribe()
	}
}

func (f *Fleet) kv() jetstream.KeyValue {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store
}

// follow turns to another coordinator. The caller holds mu.
func (f *Fleet) follow(id, name string, epoch uint64) {
	f.leader = leader{id: id, name: name, epoch: epoch}
	f.outbox.turn()
	signal(f.kick)
}

var _ router.Limiter = (*Fleet)(nil)
