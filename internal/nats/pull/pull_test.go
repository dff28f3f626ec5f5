package pull_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pelton/internal/nats/embednats"
	"pelton/internal/nats/pull"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queue is a server with one stream and consumers on it.
type queue struct {
	t  testing.TB
	nc *nats.Conn
	js jetstream.JetStream
}

const (
	ackWait   = 2 * time.Second
	heartbeat = 300 * time.Millisecond
)

func newQueue(t testing.TB, subjects ...string) *queue {
	t.Helper()
	srv, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), Port: embednats.NoListen, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	q := &queue{t, nc, js}
	q.ensure(subjects...)
	return q
}

func (q *queue) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	q.t.Cleanup(cancel)
	return ctx
}

// ensure makes the stream Q and a consumer named like each subject.
func (q *queue) ensure(subjects ...string) {
	q.t.Helper()
	if err := q.tryEnsure(q.ctx(), subjects...); err != nil {
		q.t.Fatal(err)
	}
}

func (q *queue) tryEnsure(ctx context.Context, subjects ...string) error {
	cfg := jetstream.StreamConfig{Name: "Q", Subjects: subjects, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.MemoryStorage}
	if _, err := q.js.CreateStream(ctx, cfg); err != nil {
		return err
	}
	for _, subject := range subjects {
		_, err := q.js.CreateConsumer(ctx, "Q", jetstream.ConsumerConfig{
			Durable: subject, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 1000,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) publish(subject string, n int) {
	q.t.Helper()
	for i := range n {
		if _, err := q.js.Publish(q.ctx(), subject, []byte(fmt.Sprint(i))); err != nil {
			q.t.Fatal(err)
		}
	}
}

func (q *queue) start(hard context.Context, consumer string, slots *pull.Slots, handle func(*pull.Delivery)) *pull.Puller {
	q.t.Helper()
	p, err := pull.Start(hard, pull.Config{
		Conn: q.nc, Stream: "Q", Consumer: consumer, AckWait: ackWait, Heartbeat: heartbeat,
		Slots: slots, Handle: handle, Log: zerolog.Nop(),
		Ensure: func(ctx context.Context) error { return q.tryEnsure(ctx, consumer) },
	})
	if err != nil {
		q.t.Fatal(err)
	}
	return p
}

func (q *queue) left(consumer string) (waiting, unacked int) {
	q.t.Helper()
	c, err := q.js.Consumer(q.ctx(), "Q", consumer)
	if err != nil {
		q.t.Fatal(err)
	}
	return int(c.CachedInfo().NumPending), c.CachedInfo().NumAckPending
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}

func TestOneMessagePerFreeSlot(t *testing.T) {
	q := newQueue(t, "a")
	q.publish("a", 100)
	started, release := make(chan string, 100), make(chan struct{})
	p := q.start(context.Background(), "a", pull.NewSlots(4), func(d *pull.Delivery) {
		started <- string(d.Msg.Data)
		<-release
		d.Ack()
	})
	for range 4 {
		await(t, started)
	}
	// Nothing is fetched ahead of the work. The broker's count of what waits
	// follows what was published with a delay; what is taken never exceeds 4.
	for waiting := 0; waiting != 96; {
		var unacked int
		if waiting, unacked = q.left("a"); unacked != 4 {
			t.Fatalf("%d unacked", unacked)
		}
	}
	close(release)
	seen := map[string]bool{}
	for range 96 {
		seen[await(t, started)] = true
	}
	if len(seen) != 96 {
		t.Errorf("%d different messages", len(seen))
	}
	p.Stop()
}

func TestHeartbeatKeepsLongWork(t *testing.T) {
	q := newQueue(t, "a")
	q.publish("a", 3)
	var deliveries atomic.Int64
	done := make(chan struct{}, 3)
	p := q.start(context.Background(), "a", pull.NewSlots(3), func(d *pull.Delivery) {
		deliveries.Add(1)
		select { // longer than the broker would wait
		case <-time.After(ackWait + ackWait/2):
		case <-d.Context().Done():
			t.Errorf("lost: %v", context.Cause(d.Context()))
		}
		d.Ack()
		done <- struct{}{}
	})
	for range 3 {
		await(t, done)
	}
	p.Stop()
	if n := deliveries.Load(); n != 3 {
		t.Errorf("%d deliveries of 3 messages", n)
	}
}

func TestLostWhenTheBrokerIsAway(t *testing.T) {
	srv, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), Port: embednats.NoListen, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, _ := jetstream.New(nc)
	q := &queue{t, nc, js}
	q.ensure("a")
	q.publish("a", 1)
	started, cause := make(chan struct{}), make(chan error, 1)
	p := q.start(context.Background(), "a", pull.NewSlots(1), func(d *pull.Delivery) {
		close(started)
		<-d.Context().Done()
		cause <- context.Cause(d.Context())
	})
	await(t, started)
	srv.Close()
	if err := await(t, cause); !errors.Is(err, pull.ErrLost) {
		t.Errorf("%v", err)
	}
	p.Stop()
}

func TestStopHandsNothingOut(t *testing.T) {
	q := newQueue(t, "a")
	p := q.start(context.Background(), "a", pull.NewSlots(8), func(d *pull.Delivery) {
		t.Error("handled after the stop")
		d.Ack()
	})
	p.Stop()
	q.publish("a", 10)
	if err := q.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// Whatever an open request still drew is handed back at once, to the next.
	got := make(chan struct{}, 10)
	second := q.start(context.Background(), "a", pull.NewSlots(8), func(d *pull.Delivery) {
		d.Ack()
		got <- struct{}{}
	})
	for range 10 {
		await(t, got)
	}
	second.Stop()
}

func TestStreamIsMadeAgain(t *testing.T) {
	q := newQueue(t, "a")
	got := make(chan struct{}, 1)
	p := q.start(context.Background(), "a", pull.NewSlots(2), func(d *pull.Delivery) {
		d.Ack()
		got <- struct{}{}
	})
	q.publish("a", 1)
	await(t, got)
	if err := q.js.DeleteStream(q.ctx(), "Q"); err != nil {
		t.Fatal(err)
	}
	for { // until the puller has made it again
		if _, err := q.js.Publish(q.ctx(), "a", nil); err == nil {
			break
		}
	}
	await(t, got)
	p.Stop()
}

func TestQueuesShareSlots(t *testing.T) {
	q := newQueue(t, "a", "b")
	q.publish("a", 64)
	slots := pull.NewSlots(16)
	slots.Expect(2) // else the first to start has all of them when it is quick
	var mu sync.Mutex
	peak, busyA := 0, 0
	full, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	handle := func(d *pull.Delivery) {
		mu.Lock()
		busyA++
		peak = max(peak, busyA)
		if busyA == 15 {
			once.Do(func() { close(full) })
		}
		mu.Unlock()
		<-release
		mu.Lock()
		busyA--
		mu.Unlock()
		d.Ack()
	}
	gotB := make(chan struct{}, 1)
	a := q.start(context.Background(), "a", slots, handle)
	b := q.start(context.Background(), "b", slots, func(d *pull.Delivery) {
		d.Ack()
		gotB <- struct{}{}
	})
	// The busy queue grows into what the idle one leaves, down to one slot …
	await(t, full)
	// … which is there at once when a message comes.
	q.publish("b", 1)
	await(t, gotB)
	if busy := slots.Busy(); busy > 16 {
		t.Errorf("%d of 16 slots busy", busy)
	}
	close(release)
	a.Stop()
	b.Stop()
}

func TestHardContextAborts(t *testing.T) {
	q := newQueue(t, "a")
	q.publish("a", 1)
	hard, kill := context.WithCancel(context.Background())
	deliveries := make(chan int, 2)
	p := q.start(hard, "a", pull.NewSlots(1), func(d *pull.Delivery) {
		deliveries <- d.Delivered
		<-d.Context().Done()
		d.Nak()
	})
	if n := await(t, deliveries); n != 1 {
		t.Errorf("delivery %d", n)
	}
	kill()
	p.Stop()
	second := q.start(context.Background(), "a", pull.NewSlots(1), func(d *pull.Delivery) {
		deliveries <- d.Delivered
		d.Ack()
	})
	if n := await(t, deliveries); n != 2 {
		t.Errorf("delivery %d", n)
	}
	second.Stop()
}

// A delivery is known to be the first only of what came into the stream since
// the puller, or its connection, last began.
func TestFirst(t *testing.T) {
	q := newQueue(t, "a")
	q.publish("a", 1)
	got := make(chan *pull.Delivery, 8)
	p, err := pull.Start(q.ctx(), pull.Config{
		Conn: q.nc, Stream: "Q", Consumer: "a", AckWait: ackWait, Heartbeat: heartbeat,
		Slots: pull.NewSlots(4), Log: zerolog.Nop(),
		Handle: func(d *pull.Delivery) { got <- d },
		Ensure: func(ctx context.Context) error { return nil },
		LastSeq: func(ctx context.Context) (uint64, error) {
			s, err := q.js.Stream(ctx, "Q")
			if err != nil {
				return 0, err
			}
			return s.CachedInfo().State.LastSeq, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	expect := func(what string, first bool) *pull.Delivery {
		t.Helper()
		select {
		case d := <-got:
			if d.First() != first {
				t.Errorf("%s: first is %v", what, d.First())
			}
			return d
		case <-q.ctx().Done():
			t.Fatalf("%s: nothing came", what)
			return nil
		}
	}
	expect("there before", false).Ack()
	q.publish("a", 1)
	expect("new", true).Nak()
	expect("handed back", false).Ack()
	if err := q.nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	if err := q.nc.FlushWithContext(q.ctx()); err != nil {
		t.Fatal(err)
	}
	q.publish("a", 1)
	expect("after the connection was lost", false).Ack()
	// Once it has asked again, what is new is known to be.
	for first := false; !first; {
		q.publish("a", 1)
		d := <-got
		first = d.First()
		d.Ack()
	}
}
