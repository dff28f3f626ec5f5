package owner

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

func TestShares(t *testing.T) {
	type want map[string]int
	for name, c := range map[string]struct {
		cap    int
		wanted want
		allow  want
	}{
		"one job has all and a little on top": {64, want{"a": 1000}, want{"a": 72}},
		"one that wants less gets that":       {64, want{"a": 5}, want{"a": 5}},
		"the small ones are served first":     {64, want{"a": 1000, "b": 8, "c": 8}, want{"a": 56, "b": 8, "c": 8}},
		"equal parts":                         {60, want{"a": 100, "b": 100}, want{"a": 37, "b": 37}},
		"never nothing":                       {2, want{"a": 9, "b": 9, "c": 9, "d": 9}, want{"a": 1, "b": 1, "c": 2, "d": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShares(c.cap)
			for job, n := range c.wanted {
				s.set(job, n, func() {})
			}
			total := 0
			for job := range c.wanted {
				total += s.of(job)
			}
			wantTotal := 0
			for _, n := range c.allow {
				wantTotal += n
			}
			if total != wantTotal {
				t.Errorf("%d together, want %d", total, wantTotal)
			}
			if name != "never nothing" { // where equals are served in any order
				for job, n := range c.allow {
					if s.of(job) != n {
						t.Errorf("%s gets %d, want %d", job, s.of(job), n)
					}
				}
			}
		})
	}
}

// However the wishes came about, the shares are those of who divides anew; what
// rounding leaves over may go to another.
func TestSharesFollowEveryWish(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	s, wanted := newShares(100), map[string]int{}
	for range 2000 {
		job := string(rune('a' + draw.IntN(6)))
		wanted[job] = draw.IntN(120)
		s.set(job, wanted[job], func() {})
		fresh := newShares(100)
		for job, n := range wanted {
			fresh.set(job, n, func() {})
		}
		for job := range wanted {
			if have, want := s.of(job), fresh.of(job); have < want-1 || have > want+1 {
				t.Fatalf("of %v %s is allowed %d, and divided anew %d", wanted, job, have, want)
			}
		}
	}
}

func TestSharesOfOtherProcesses(t *testing.T) {
	s := newShares(100)
	woken := 0
	s.set("ours", 1000, func() { woken++ })
	before := s.of("ours")
	now := time.Now()
	s.setOther("theirs", 1000, now)
	if s.of("ours") >= before {
		t.Errorf("%d after another's job was heard of, %d before", s.of("ours"), before)
	}
	woken = 0
	s.sweep(now.Add(2 * stale))
	if s.of("ours") != before || woken != 1 {
		t.Errorf("%d after it went silent, want %d; woken %d times", s.of("ours"), before, woken)
	}
	s.setOther("theirs", 1000, now)
	s.setOther("theirs", 0, now) // its end
	if s.of("ours") != before {
		t.Errorf("%d after its end, want %d", s.of("ours"), before)
	}
	s.setOther("ours", 5, now) // our own word, come back
	if s.of("ours") != before {
		t.Errorf("%d after our own word", s.of("ours"))
	}
	s.remove("ours")
	if s.of("ours") != 0 {
		t.Error("a dropped job has a share")
	}
}

func TestTally(t *testing.T) {
	x := tally{first: -1}
	for i, status := range []schema.Status{schema.StatusSucceeded, schema.StatusFailed, schema.StatusFailed, schema.StatusExpired} {
		out := store.ResultMeta{Index: 10 - i, Status: status, Code: "c" + strconv.Itoa(i%2), Bill: schema.Bill{Usage: &schema.Usage{TotalTokens: 2}, UnknownAttempts: i, UnpricedAttempts: 1}}
		x.add(out)
	}
	if x.counts.Stored() != 4 || x.counts.Failed != 2 || x.usage.TotalTokens != 8 || x.first != 9 {
		t.Errorf("%+v %+v first %d", x.counts, x.usage, x.first)
	}
	for i := range 100 { // an upstream that invents codes does not make the state grow
		x.add(store.ResultMeta{Index: 100 + i, Status: schema.StatusFailed, Code: "new" + strconv.Itoa(i)})
	}
	var s schema.State
	x.write(&s, 0)
	if s.UnknownAttempts != 0+1+2+3 || s.UnpricedAttempts != 4 || s.Usage.TotalTokens != 8 || s.Cost != nil {
		t.Errorf("the state says %+v", s.Bill())
	}
	n := 0
	for _, e := range s.Errors {
		n += e.Count
	}
	if len(s.Errors) > schema.MaxErrorCodes || n != 103 {
		t.Errorf("%d codes, %d errors", len(s.Errors), n)
	}
}

func TestConcurrency(t *testing.T) {
	if b := newConcurrency(0); b.now() != schema.DefaultConcurrency {
		t.Errorf("default %d", b.now())
	}
	fixed := newConcurrency(5)
	fixed.observe(store.ResultMeta{Status: schema.StatusParked}, time.Now(), time.Now(), true)
	if fixed.now() != 5 {
		t.Errorf("a number given moved to %d", fixed.now())
	}
	b := newConcurrency(schema.AutoConcurrency)
	now := time.Now()
	served := store.ResultMeta{Status: schema.StatusSucceeded}
	for range 100 {
		b.observe(served, now, now.Add(time.Second), true)
	}
	if b.now() != autoStart+100 {
		t.Errorf("it grows by one per result until it was too high, to %d", b.now())
	}
	for range 50 { // all of them fed before the cut
		b.observe(store.ResultMeta{Status: schema.StatusSucceeded, QueuedFor: time.Second}, now, now.Add(time.Second), true)
	}
	cut := b.now()
	if cut >= autoStart+100 || cut < (autoStart+100)/2 {
		t.Errorf("one round trip cut it to %d", cut)
	}
	b.observe(served, now.Add(2*time.Second), now.Add(3*time.Second), false)
	if b.now() != cut {
		t.Error("it grew though the window was not full")
	}
}

// Whatever the results say within what their headers may, the state that counts
// them can be written.
func FuzzTally(f *testing.F) {
	f.Add("succeeded", "", int64(1), 0.25, "failed", "rate%", int64(math.MaxInt64), math.MaxFloat32)
	f.Add("failed", "\xff", int64(0), 0.0, "x", "", int64(7), 1e-300)
	f.Fuzz(func(t *testing.T, status1, code1 string, tokens1 int64, cost1 float64, status2, code2 string, tokens2 int64, cost2 float64) {
		x, n := tally{first: -1}, 0
		for index, r := range []struct {
			status, code string
			tokens       int64
			cost         float64
		}{{status1, code1, tokens1, cost1}, {status2, code2, tokens2, cost2}} {
			if r.tokens < 0 || !(r.cost >= 0 && r.cost <= math.MaxFloat32) {
				continue // headers cannot say so
			}
			x.add(store.ResultMeta{Index: index, Status: schema.Status(r.status), Code: r.code, Bill: schema.Bill{Cost: &r.cost, Usage: &schema.Usage{PromptTokens: r.tokens}}})
			n++
		}
		state := schema.State{Total: 3}
		x.pace(time.Now())
		x.write(&state, 0)
		if _, err := json.Marshal(state); err != nil {
			t.Fatalf("%+v: %v", state, err)
		}
		if state.Counts.Stored() > n {
			t.Fatalf("%+v of %d results", state.Counts, n)
		}
	})
}
