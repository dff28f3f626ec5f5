package worker

import (
	"math/rand/v2"
	"testing"
	"time"

	"pelton/schema"
)

// start is one whose worker died so long after it.
func start(died, apart time.Duration) schema.Start {
	s := schema.Start{At: time.Unix(1, 0), Worker: "w", ApartMs: apart.Milliseconds()}
	for sign := firstSign; sign <= died; sign *= 2 {
		s.AliveMs = sign.Milliseconds()
	}
	return s
}

func TestVerdicts(t *testing.T) {
	plain := start(0, 0)
	tried := start(0, time.Second)
	outlived := start(time.Second, time.Second)
	for name, x := range map[string]struct {
		begun []schema.Start
		want  bool
	}{
		"never begun again":                  {nil, false},
		"in flight at many deaths":           {[]schema.Start{plain, plain, plain, plain, plain, plain, plain}, false},
		"tried once":                         {[]schema.Start{plain, plain, plain, plain, tried}, false},
		"tried twice":                        {[]schema.Start{plain, plain, plain, tried, tried}, true},
		"tried twice, and too few deaths":    {[]schema.Start{plain, plain, tried, tried}, false},
		"its worker has lived through one":   {[]schema.Start{plain, plain, plain, tried, outlived}, false},
		"tried again after that":             {[]schema.Start{plain, plain, plain, outlived, tried, tried}, true},
		"not tried for the last time":        {[]schema.Start{plain, plain, plain, tried, tried, plain}, false},
		"starts that an older version noted": {make([]schema.Start, 6), false},
	} {
		if got := guilty(x.begun); got != x.want {
			t.Errorf("%s: guilty %t", name, got)
		}
	}
}

func TestLengthOfTrials(t *testing.T) {
	for died, want := range map[time.Duration]time.Duration{
		0: time.Second, 400 * time.Millisecond: time.Second, 700 * time.Millisecond: time.Second,
		1100 * time.Millisecond: 2 * time.Second, 5 * time.Second: 8 * time.Second, time.Hour: longestTrial,
	} {
		if got := trialOf([]schema.Start{start(0, 0), start(died, 0), start(0, 0)}); got != want {
			t.Errorf("a worker that died after %s: a trial of %s", died, got)
		}
		again := start(died, want)
		if died < longestTrial && !incriminates(again) {
			t.Errorf("a death after %s does not count in a trial of %s", died, want)
		}
	}
}

func TestTrialsComeOneByOne(t *testing.T) {
	at := time.Unix(1000, 0)
	x := trialTimes{born: at}
	if leave, when := x.enter(at, time.Second, true); leave != nil || when.Sub(at) != olderBy*time.Second {
		t.Errorf("in a young worker: after %s", when.Sub(at))
	}
	at = at.Add(olderBy * time.Second)
	leave, _ := x.enter(at, time.Second, true)
	if leave == nil {
		t.Fatal("not in a worker that is old enough")
	}
	for _, alone := range []bool{false, true} {
		if other, when := x.enter(at.Add(time.Millisecond), time.Second, alone); other != nil || when.Before(at.Add(time.Second)) {
			t.Errorf("two at once, alone %t", alone)
		}
	}
	leave(at.Add(2 * time.Millisecond))
	at = at.Add(3 * time.Millisecond)
	if leave, _ := x.enter(at, time.Second, false); leave == nil {
		t.Error("not though the one before has ended early")
	}
	if leave, when := x.enter(at, time.Second, false); leave != nil || when.Before(at.Add(sharedGap)) {
		t.Error("two of them at the same moment")
	}
	if leave, _ := x.enter(at.Add(sharedGap), time.Second, false); leave == nil {
		t.Error("not side by side")
	}
	if leave, when := x.enter(at.Add(sharedGap), time.Second, true); leave != nil || when.Before(at.Add(sharedGap+time.Second)) {
		t.Error("alone beside others")
	}
	at = at.Add(time.Minute)
	x.disturb(at)
	var last time.Time
	for range 5 { // each is given a time of its own
		leave, when := x.enter(at.Add(time.Second), time.Second, true)
		if leave != nil || when.Sub(at) < olderBy*time.Second || when.Sub(last) < time.Second {
			t.Errorf("right after another worker's death: after %s, and %s after the one before", when.Sub(at), when.Sub(last))
		}
		last = when
	}
}

// storm is a fleet whose workers are killed at random, for ever.
type storm struct {
	rng    *rand.Rand
	deaths [][]float64 // of each worker, in seconds
	all    []float64
}

const (
	stormSeconds = 3600
	redelivered  = 6.0
	restarted    = 0.5
)

func newStorm(rng *rand.Rand, workers int, every float64) *storm {
	s := &storm{rng: rng, deaths: make([][]float64, workers)}
	for at := rng.ExpFloat64() * every; at < stormSeconds; at += rng.ExpFloat64() * every {
		n := rng.IntN(workers)
		s.deaths[n] = append(s.deaths[n], at)
		s.all = append(s.all, at)
	}
	return s
}

// around gives the last death of a list before a time, and the first after it.
func around(list []float64, at float64) (before, next float64) {
	lo, hi := 0, len(list)
	for lo < hi {
		if mid := (lo + hi) / 2; list[mid] <= at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	before, next = -1e9, 1e9
	if lo > 0 {
		before = list[lo-1]
	}
	if lo < len(list) {
		next = list[lo]
	}
	return before, next
}

// fate is what becomes of a request whose calls take so long, and that kills nobody.
func (s *storm) fate(call float64) (convicted bool) {
	at := s.rng.Float64() * stormSeconds / 4
	var begun []schema.Start
	for first := true; at < stormSeconds; first = false {
		worker := s.deaths[s.rng.IntN(len(s.deaths))]
		var trial time.Duration
		switch {
		case guilty(begun):
			return true
		case len(begun) >= apartFrom:
			at, worker, trial = s.held(at, trialOf(begun))
		case !first:
			at += s.rng.Float64() * (spread << len(begun)).Seconds()
		}
		_, death := around(worker, at)
		if death > at+call {
			return false
		}
		if !first {
			begun = append(begun, start(time.Duration((death-at)*float64(time.Second)), trial))
		}
		at = death + redelivered
	}
	return false
}

// held finds the time at which a suspected request is begun, and where.
func (s *storm) held(at float64, length time.Duration) (float64, []float64, time.Duration) {
	last := at + patience(length).Seconds()
	for ; at < last; at += length.Seconds() / 2 {
		worker := s.deaths[s.rng.IntN(len(s.deaths))]
		born, _ := around(worker, at)
		seen, _ := around(s.all, at-redelivered)
		if seen+redelivered < born+restarted+redelivered+2 { // before its time
			seen = -1e9
		}
		if at-max(born+restarted, seen+redelivered) > olderBy*length.Seconds() {
			return at, worker, length
		}
	}
	return last, s.deaths[s.rng.IntN(len(s.deaths))], 0
}

// Kills from outside that go on for an hour, at random, convict next to nobody.
func TestStormsConvictNobody(t *testing.T) {
	t.Parallel()
	const each = 500
	requests, convicted := 0, 0
	for _, workers := range []int{1, 2, 3, 10} {
		for _, every := range []float64{1, 2, 4, 10, 30} {
			rng := rand.New(rand.NewPCG(1, uint64(every)))
			for _, call := range []float64{0.3, 3, 8, 60} {
				s := newStorm(rng, workers, every)
				requests += each
				for range each {
					if s.fate(call) {
						convicted++
						t.Logf("%d workers, a kill every %v s, calls of %v s: convicted", workers, every, call)
					}
				}
			}
		}
	}
	t.Logf("%d of %d convicted", convicted, requests)
	if convicted > requests/10_000 {
		t.Errorf("%d of %d are convicted", convicted, requests)
	}
}
