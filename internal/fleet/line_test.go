package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"pelton/router"
)

// line makes calls as a router does: of all who want to, one asks, and comes
// back when it is told to.
func line(ctx context.Context, wg *sync.WaitGroup, rec *recorder, f *Fleet, l router.Limits, call time.Duration) {
	wake := make(chan struct{}, 1)
	f.OnRoom(func(string) { signal(wake) })
	wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			p, err := f.Admit(ctx, "d", l, 0)
			var busy *router.BusyError
			switch {
			case errors.As(err, &busy):
				in := time.Second // far more than a call takes
				if !busy.ReadyAt.IsZero() {
					in = time.Until(busy.ReadyAt)
				}
				timer := time.NewTimer(in)
				select {
				case <-timer.C:
				case <-wake:
				case <-ctx.Done():
				}
				timer.Stop()
			case err == nil:
				rec.add(f.name, true, n, time.Now(), 0)
				wg.Go(func() {
					timer := time.NewTimer(call)
					<-timer.C
					rec.add(f.name, false, n, time.Now(), 0)
					p.Done(0, true)
				})
			}
		}
	})
}

// Workers that ask and are refused use a rate as fully as those that wait.
func TestAdmitUsesTheRate(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		line(ctx, &wg, rec, s.join(name), router.Limits{RPM: 6000, MaxParallel: 20}, 50*time.Millisecond)
	}
	rec.wait(t, 250, begin)
	stop()
	wg.Wait()
	rec.checkRate(t, 6000)
	rec.checkPeak(t, 20)
	list := rec.all()
	if got := rec.achieved(6000, list[0].begin, list[len(list)-1].begin); got < 0.95 {
		t.Errorf("only %.0f %% of the rate was used", 100*got)
	}
}

// Each gets its share of the places, though who has just ended a call could ask
// first.
func TestAdmitIsFair(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begin := time.Now()
	names := []string{"a", "b", "c"}
	for _, name := range names {
		line(ctx, &wg, rec, s.join(name), router.Limits{MaxParallel: 5}, 5*time.Millisecond)
	}
	rec.wait(t, 900, begin)
	stop()
	wg.Wait()
	rec.checkPeak(t, 5)
	share := map[string]int{}
	for _, span := range rec.all() {
		share[span.worker]++
	}
	for _, name := range names {
		if share[name] < 200 {
			t.Errorf("%s made %d of 900 calls: %v", name, share[name], share)
		}
	}
}

// Room that is kept for a worker which no longer wants it goes to the next.
func TestPlaceInLineIsNotKeptForEver(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f, g := s.join("f"), s.join("g")
	one := router.Limits{MaxParallel: 1}
	p, err := f.Admit(t.Context(), "d", one, 0)
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan string, 1)
	g.OnRoom(func(d string) { called <- d })
	var busy *router.BusyError
	if _, err := g.Admit(t.Context(), "d", one, 0); !errors.As(err, &busy) {
		t.Fatal(err)
	}
	p.Done(0, true)
	if d := <-called; d != "d" {
		t.Errorf("called for %q", d)
	}
	if _, err := f.Admit(t.Context(), "d", one, 0); !errors.As(err, &busy) {
		t.Errorf("the room was not kept: %v", err)
	}
	p, err = f.Wait(t.Context(), "d", one, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Done(0, true)
}
