package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/router"
	"pelton/schema"
)

// underLoad runs three members through what happens to the broker.
func underLoad(t *testing.T, happens func(s *server)) {
	t.Helper()
	s, rec := serve(t), newRecorder()
	limits := router.Limits{RPM: 6000, MaxParallel: 6}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		rec.drive(ctx, &wg, s.join(name), role{Limits: limits, Callers: 6, Call: 20 * time.Millisecond})
	}
	// This call lasts through all of it.
	long, err := s.join("d").Wait(ctx, "d", limits, 0)
	if err != nil {
		t.Fatal(err)
	}
	rec.add("d", true, 1, time.Now(), 0)
	rec.wait(t, 100, begin)
	happens(s)
	again := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		rec.wait(t, 60, again, name)
	}
	rec.add("d", false, 1, time.Now(), 0)
	long.Done(0, true)
	rec.wait(t, 30, time.Now())
	stop()
	wg.Wait()
	rec.checkRate(t, limits.RPM)
	rec.checkPeak(t, limits.MaxParallel)
}

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	underLoad(t, func(s *server) {
		s.stop()
		s.start()
	})
}

func TestServerComesBackWithoutItsStore(t *testing.T) {
	t.Parallel()
	underLoad(t, func(s *server) {
		s.stop()
		s.wipe()
		s.start()
	})
}

func TestNoPermitWithoutCoordinator(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := s.join("f")
	limits := router.Limits{MaxParallel: 2}
	held, err := f.Admit(t.Context(), "d", limits, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	// Until the worker knows, an ask may take its time, but is not granted.
	eventually(t, "it knows that nobody is there", func() bool { return !f.Status().Reachable })
	var busy *router.BusyError
	if _, err := f.Admit(t.Context(), "d", limits, 0); !errors.As(err, &busy) {
		t.Fatalf("without a coordinator: %v", err)
	}
	if in := time.Until(busy.ReadyAt); in <= 0 || in > RetryAway {
		t.Errorf("ready in %v", in)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	waited := make(chan error)
	go func() {
		_, err := f.Wait(ctx, "d", limits, 0)
		waited <- err
	}()
	eventually(t, "it waits", func() bool { return f.Status().Waiting == 1 })
	why := errors.New("why")
	cancel(why)
	if err := <-waited; !errors.Is(err, why) {
		t.Error(err)
	}
	held.Done(0, true) // settles when there is somebody to tell

	// One that waits outlasts it all.
	got := make(chan router.Permit)
	go func() {
		p, err := f.Wait(t.Context(), "d", limits, 0)
		if err != nil {
			t.Error(err)
		}
		got <- p
	}()
	eventually(t, "it waits", func() bool { return f.Status().Waiting == 1 })
	s.start()
	p := <-got
	if p == nil {
		t.FailNow()
	}
	eventually(t, "one is held", func() bool {
		m := f.Status().Members
		return len(m) == 1 && m[0].Held["d"] == 1
	})
	p.Done(0, true)
	eventually(t, "none is held", func() bool {
		m := f.Status().Members
		return len(m) == 1 && m[0].Held["d"] == 0
	})
}

func TestCloseHandsOver(t *testing.T) {
	t.Parallel()
	s := serve(t)
	limits := router.Limits{MaxParallel: 2}
	a, b := s.join("a"), s.join("b")
	if !a.Status().Coordinates || b.Status().Coordinator != "a" {
		t.Fatalf("%+v", b.Status())
	}
	for range 2 {
		if _, err := a.Admit(t.Context(), "d", limits, 0); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error)
	go func() {
		_, err := a.Wait(t.Context(), "d", limits, 0)
		waiting <- err
	}()
	eventually(t, "it waits", func() bool { return a.Status().Waiting == 1 })
	begin := time.Now()
	a.Close()
	a.Close()
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := a.Admit(t.Context(), "d", limits, 0); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	p, err := b.Wait(t.Context(), "d", limits, 0)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > LeaseTerm/2 {
		t.Errorf("handing over took %v", took)
	}
	p.Done(0, true)
	if st := b.Status(); !st.Coordinates || len(st.Members) != 1 {
		t.Errorf("%+v", st)
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	s := serve(t)
	nc, err := nats.Connect(s.url, nats.NoEcho())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := Join(t.Context(), nc, schema.Names{}, "f", zerolog.Nop()); err == nil {
		t.Error("joined on a connection that does not hear itself")
	}
	// Two installations on one account have two fleets.
	f := s.join("f")
	other, err := connect(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	g, err := Join(t.Context(), other, schema.Names{Prefix: "other"}, "g", zerolog.Nop(), Replicas(1))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	one := router.Limits{MaxParallel: 1}
	for _, f := range []*Fleet{f, g} {
		p, err := f.Wait(t.Context(), "d", one, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Done(0, true)
	}
}
