package limits

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// atClock returns a limiter and a function that moves its clock.
func atClock() (*Local, func(time.Duration)) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := NewLocal()
	l.Clock = func() time.Time { return now }
	return l, func(d time.Duration) { now = now.Add(d) }
}

func admit(t *testing.T, l *Local, limits Limits, tokens int) (Permit, time.Duration) {
	t.Helper()
	p, err := l.Admit(context.Background(), "d", limits, tokens)
	var busy *BusyError
	switch {
	case err == nil:
		return p, 0
	case !errors.As(err, &busy):
		t.Fatal(err)
	case busy.ReadyAt.IsZero():
		return nil, -1
	}
	return nil, busy.ReadyAt.Sub(l.now())
}

func TestLimiterRequests(t *testing.T) {
	l, pass := atClock()
	limits := Limits{RPM: 600} // one per 100 ms, five at once
	for range 5 {
		if p, _ := admit(t, l, limits, 0); p == nil {
			t.Fatal("refused within the burst")
		}
	}
	if p, in := admit(t, l, limits, 0); p != nil || in != 100*time.Millisecond {
		t.Errorf("after the burst: %v, %v", p, in)
	}
	pass(99 * time.Millisecond)
	if p, in := admit(t, l, limits, 0); p != nil || in != time.Millisecond {
		t.Errorf("too early: %v", in)
	}
	pass(time.Millisecond)
	p, _ := admit(t, l, limits, 0)
	if p == nil {
		t.Fatal("refused when due")
	}
	p.Done(0, false) // no call was made: the request comes back
	if p, _ := admit(t, l, limits, 0); p == nil {
		t.Error("what was given back is not there")
	}
	slow := Limits{RPM: 1}
	if p, err := l.Admit(context.Background(), "slow", slow, 0); p == nil || err != nil {
		t.Error("the first of one a minute is refused")
	}
	if _, err := l.Admit(context.Background(), "slow", slow, 0); err == nil {
		t.Error("two at once of one a minute")
	}
}

func TestLimiterTokens(t *testing.T) {
	l, pass := atClock()
	limits := Limits{TPM: 60_000} // 1,000 a second, 500 at once
	p, _ := admit(t, l, limits, 4000)
	if p == nil {
		t.Fatal("more than the burst never gets in")
	}
	if _, in := admit(t, l, limits, 100); in != 3600*time.Millisecond {
		t.Errorf("with 4000 reserved: %v", in)
	}
	p.Done(1000, true) // it used less
	p.Done(9999, true) // no effect
	if _, in := admit(t, l, limits, 100); in != 600*time.Millisecond {
		t.Errorf("with 1000 settled: %v", in)
	}
	pass(600 * time.Millisecond)
	if p, _ = admit(t, l, limits, 100); p == nil {
		t.Fatal("refused when due")
	}
	p.Done(0, true) // a failure gives all back
	if p, in := admit(t, l, limits, 100); p == nil {
		t.Errorf("after giving back: %v", in)
	}
}

// A small number per minute may come at once, and no minute sees more.
func TestSmallRateComesAtOnce(t *testing.T) {
	l, pass := atClock()
	limits := Limits{RPM: 100}
	for range 100 {
		if p, in := admit(t, l, limits, 0); p == nil {
			t.Fatalf("refused for %v", in)
		}
	}
	p, in := admit(t, l, limits, 0)
	if p != nil || in < 59*time.Second || in > 61*time.Second {
		t.Fatalf("the one after: %v, %v", p, in)
	}
	pass(in)
	if p, in = admit(t, l, limits, 0); p == nil {
		t.Fatalf("refused when due: %v", in)
	}
	p.Done(0, false)
	if p, _ = admit(t, l, limits, 0); p == nil {
		t.Error("what was not sent counts")
	}
}

func TestLimiterParallel(t *testing.T) {
	l, _ := atClock()
	limits := Limits{MaxParallel: 2}
	a, _ := admit(t, l, limits, 0)
	admit(t, l, limits, 0)
	if p, in := admit(t, l, limits, 0); p != nil || in != -1 {
		t.Errorf("a third: %v, %v", p, in)
	}
	a.Done(0, true)
	if p, _ := admit(t, l, limits, 0); p == nil {
		t.Error("no room after one ended")
	}
	if got := l.InFlight("d"); got != 2 {
		t.Errorf("in flight %d", got)
	}
}

// 5783, 2798, 10875: limits hold under concurrency, and in any ten seconds.
func TestLimiterUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLocal()
		limits := Limits{RPM: 600, TPM: 600_000, MaxParallel: 20}
		var mu sync.Mutex
		var starts []time.Time
		inFlight, peak := 0, 0
		end := time.Now().Add(time.Minute)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for time.Now().Before(end) {
					p, err := l.Admit(context.Background(), "d", limits, 500)
					if busy := (*BusyError)(nil); errors.As(err, &busy) {
						wait := 10 * time.Millisecond
						if !busy.ReadyAt.IsZero() {
							wait = max(time.Until(busy.ReadyAt), time.Millisecond)
						}
						<-time.After(wait)
						continue
					}
					mu.Lock()
					starts = append(starts, time.Now())
					inFlight++
					peak = max(peak, inFlight)
					mu.Unlock()
					<-time.After(time.Duration(100+rand.IntN(1400)) * time.Millisecond)
					mu.Lock()
					inFlight--
					mu.Unlock()
					p.Done(500, true)
				}
			})
		}
		wg.Wait()
		if len(starts) < 570 || peak > 20 {
			t.Errorf("%d calls, at most %d at once", len(starts), peak)
		}
		for i := range starts {
			n := 0
			for j := i; j < len(starts) && starts[j].Sub(starts[i]) < 10*time.Second; j++ {
				n++
			}
			if n > 110 {
				t.Fatalf("%d calls in ten seconds", n)
			}
		}
	})
}
