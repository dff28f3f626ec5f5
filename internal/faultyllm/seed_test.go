package faultyllm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// fates makes `calls` calls for each of n bodies, in a shuffled order and in
// parallel, and reports the statuses of each body.
func fates(t *testing.T, u *upstream, n, calls, parallel int) string {
	t.Helper()
	order := rand.Perm(n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range parallel {
		wg.Go(func() {
			for i := range next {
				for range calls {
					u.post("/chat/completions", chatBody(fmt.Sprint(i)))
				}
			}
		})
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	wg.Wait()
	var out []byte
	for i := range n {
		out = fmt.Appendln(out, i, u.StatusesOf(IdentityOf([]byte(chatBody(fmt.Sprint(i))))))
	}
	return string(out)
}

func TestSeedRepeats(t *testing.T) {
	c := Config{Seed: 7, Faults: Rates{FaultRateLimit: 0.2, FaultServerError: 0.2, FaultReset: 0.1}}
	a, b := start(t, c), start(t, c)
	first := fates(t, a, 60, 3, 1)
	second := fates(t, b, 60, 3, 8)
	equal(t, "fates", second, first)
	if ca, cb := a.Stats().Faults, b.Stats().Faults; fmt.Sprint(ca) != fmt.Sprint(cb) || len(ca) != 3 {
		t.Errorf("faults are %v and %v", ca, cb)
	}
	a.Reset()
	equal(t, "fates after a reset", fates(t, a, 60, 3, 8), first)
	c.Seed = 8
	if fates(t, start(t, c), 60, 3, 8) == first {
		t.Error("another seed makes no difference")
	}
}

func TestRatesAreKept(t *testing.T) {
	rates := Rates{FaultReset: 0.05, FaultQuota: 0.2, "500": 0.25}
	shares := rates.shares()
	counts := map[Fault]float64{}
	const n = 100_000
	for i := range n {
		id := namedIdentity(fmt.Sprint(i))
		u := unit(draw(3, &id, 1, drawFault))
		for _, s := range shares {
			if u < s.below {
				counts[s.fault]++
				break
			}
		}
	}
	for f, want := range rates {
		if got := counts[f] / n; math.Abs(got-want) > 0.01 {
			t.Errorf("%s: %v of the calls, want %v", f, got, want)
		}
	}
}

func TestLatencyDistributions(t *testing.T) {
	const n = 20_001
	for _, tc := range []struct {
		dist         LatencyDist
		jitter       time.Duration
		median, mean float64 // in units of the latency
	}{
		{Fixed, 0, 1, 1},
		{Uniform, 50 * time.Millisecond, 1, 1},
		{Exponential, 0, math.Ln2, 1},
		{LogNormal, 100 * time.Millisecond, 1, math.Exp(math.Ln2 * math.Ln2 / 2)},
	} {
		var all []float64
		var sum float64
		for i := range n {
			id := namedIdentity(fmt.Sprint(i))
			d := tc.dist.pick(100*time.Millisecond, tc.jitter, unit(draw(1, &id, 1, drawLatency)), unit(draw(1, &id, 1, drawLatency2)))
			if d < 0 {
				t.Fatalf("%s: %v", tc.dist, d)
			}
			all = append(all, d.Seconds()/0.1)
			sum += d.Seconds() / 0.1
		}
		slices.Sort(all)
		if got := all[n/2]; math.Abs(got-tc.median) > 0.03 {
			t.Errorf("%s: median %v, want %v", tc.dist, got, tc.median)
		}
		if got := sum / n; math.Abs(got-tc.mean) > 0.03 {
			t.Errorf("%s: mean %v, want %v", tc.dist, got, tc.mean)
		}
	}
	equal(t, "below zero", Uniform.pick(time.Second, 5*time.Second, 0, 0), 0)
	equal(t, "nothing", LogNormal.pick(0, time.Second, 0.5, 0.5), 0)
}
