package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"pelton/router"
)

func TestParallelOfThreeMembers(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		rec.drive(ctx, &wg, s.join(name), role{Limits: router.Limits{MaxParallel: 7}, Callers: 6, Call: 2 * time.Millisecond})
	}
	rec.wait(t, 1500, begin)
	stop()
	wg.Wait()
	rec.checkPeak(t, 7)
	if got := rec.peak(); got < 5 {
		t.Errorf("with demand for 18 only %d of 7 were in use", got)
	}
}

func TestRateOfThreeMembers(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		rec.drive(ctx, &wg, s.join(name), role{Limits: router.Limits{RPM: 6000}, Callers: 20, Call: time.Millisecond})
	}
	rec.wait(t, 300, begin)
	stop()
	wg.Wait()
	rec.checkRate(t, 6000)
	list := rec.all()
	if got := rec.achieved(6000, list[0].begin, list[len(list)-1].begin); got < 0.95 {
		t.Errorf("only %.0f %% of the rate was used", 100*got)
	}
}

func TestTokensOfThreeMembers(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begin := time.Now()
	for i, name := range []string{"a", "b", "c"} {
		rec.drive(ctx, &wg, s.join(name), role{Limits: router.Limits{TPM: 600_000}, Callers: 10, Call: time.Millisecond, Tokens: 50 * (i + 1)})
	}
	rec.wait(t, 250, begin)
	stop()
	wg.Wait()
	rec.checkWindows(t, 600_000, func(s span) float64 { return float64(s.tokens) })
}

func TestAdmitAnswersAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f, g := s.join("f"), s.join("g")
	ctx := t.Context()
	if p, err := f.Admit(ctx, "free", router.Limits{}, 10); err != nil {
		t.Error(err)
	} else {
		p.Done(10, true)
	}

	one := router.Limits{MaxParallel: 1}
	p, err := f.Admit(ctx, "one", one, 0)
	if err != nil {
		t.Fatal(err)
	}
	var busy *router.BusyError
	if _, err := g.Admit(ctx, "one", one, 0); !errors.As(err, &busy) || !busy.ReadyAt.IsZero() {
		t.Errorf("a second of one: %v", err)
	}
	p.Done(0, true)
	p.Done(0, true) // no effect
	eventually(t, "free again", func() bool {
		p, err := g.Admit(ctx, "one", one, 0)
		if err == nil {
			p.Done(0, false)
		}
		return err == nil
	})

	slow := router.Limits{RPM: 6}
	if _, err := f.Admit(ctx, "slow", slow, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Admit(ctx, "slow", slow, 0); !errors.As(err, &busy) || time.Until(busy.ReadyAt) < 9*time.Second {
		t.Errorf("a second within ten seconds: %v", err)
	}

	ended, cancel := context.WithCancelCause(ctx)
	why := errors.New("why")
	cancel(why)
	if _, err := f.Admit(ended, "one", one, 0); !errors.Is(err, why) {
		t.Errorf("with an ended context: %v", err)
	}
}

// What was not sent comes back, and tokens are corrected.
func TestDoneSettles(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := s.join("f")
	limits := router.Limits{RPM: 1, TPM: 60_000}
	p, err := f.Admit(t.Context(), "d", limits, 30_000)
	if err != nil {
		t.Fatal(err)
	}
	p.Done(0, false)
	p, err = f.Wait(t.Context(), "d", limits, 500)
	if err != nil {
		t.Fatal(err)
	}
	p.Done(20_500, true) // 20 s of tokens more than it was granted for
	tokens := router.Limits{TPM: 60_000}
	var busy *router.BusyError
	eventually(t, "the tokens are charged", func() bool {
		_, err := f.Admit(t.Context(), "d", tokens, 1)
		return errors.As(err, &busy) && time.Until(busy.ReadyAt) > 15*time.Second
	})
}

func TestWaitIsFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	members := []*Fleet{s.join("a"), s.join("b"), s.join("c")}
	coordinator := members[0]
	one := router.Limits{MaxParallel: 1}
	p, err := members[0].Wait(t.Context(), "d", one, 0)
	if err != nil {
		t.Fatal(err)
	}
	type turn struct {
		i int
		p router.Permit
	}
	turns := make(chan turn)
	for i, f := range []*Fleet{members[1], members[2], members[0], members[1]} {
		go func() {
			p, err := f.Wait(t.Context(), "d", one, 0)
			if err == nil {
				turns <- turn{i, p}
			}
		}()
		eventually(t, "it queues", func() bool {
			n := 0
			for _, m := range coordinator.Status().Members {
				n += m.Waiting
			}
			return n == i+1
		})
	}
	// One that gives up leaves its place.
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := members[2].Wait(ctx, "d", one, 0)
		gaveUp <- err
	}()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for want := range 4 {
		p.Done(0, true)
		got := <-turns
		if got.i != want {
			t.Errorf("turn %d went to %d", want, got.i)
		}
		p = got.p
	}
	p.Done(0, true)
}
