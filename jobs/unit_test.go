package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

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
	s.heard("theirs", 1000, now)
	if s.of("ours") >= before {
		t.Errorf("%d after another's job was heard of, %d before", s.of("ours"), before)
	}
	woken = 0
	s.sweep(now.Add(2 * stale))
	if s.of("ours") != before || woken != 1 {
		t.Errorf("%d after it went silent, want %d; woken %d times", s.of("ours"), before, woken)
	}
	s.heard("theirs", 1000, now)
	s.heard("theirs", 0, now) // its end
	if s.of("ours") != before {
		t.Errorf("%d after its end, want %d", s.of("ours"), before)
	}
	s.heard("ours", 5, now) // our own word, come back
	if s.of("ours") != before {
		t.Errorf("%d after our own word", s.of("ours"))
	}
	s.drop("ours")
	if s.of("ours") != 0 {
		t.Error("a dropped job has a share")
	}
}

func TestHeaderText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		encoded := HeaderText(s)
		for _, c := range []byte(encoded) {
			if c < ' ' || c == 0x7f {
				t.Fatalf("%q holds a control character", encoded)
			}
		}
		if got := HeaderValue(encoded); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestOutcomeHeaders(t *testing.T) {
	cost := 0.25
	for _, want := range []ResultMeta{
		{Index: 3, Status: schema.StatusSucceeded},
		{Index: 0, Status: schema.StatusFailed, Code: "odd\ncode", Usage: &schema.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3}, Cost: &cost},
	} {
		h := nats.Header{}
		want.writeTo(h, "job")
		got, ok := parseMeta(h)
		if !ok || got.Index != want.Index || got.Status != want.Status || got.Code != want.Code {
			t.Errorf("%+v came back as %+v", want, got)
		}
		if want.Usage != nil && (*got.Usage != *want.Usage || *got.Cost != *want.Cost) {
			t.Errorf("%+v, %v", got.Usage, got.Cost)
		}
	}
	if _, ok := parseMeta(nats.Header{schema.HeaderIndex: {"end"}}); ok {
		t.Error("an end was taken for a result")
	}
}

func TestSubjectMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.*", "a.b", true}, {"a.*", "a", false},
		{"a.*", "a.b.c", false}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {"*.b", "a.b", true},
	} {
		if got := subjectMatches(c.pattern, c.subject); got != c.want {
			t.Errorf("%s matches %s: %v", c.pattern, c.subject, got)
		}
	}
}

func TestTally(t *testing.T) {
	x := tally{first: -1}
	for i, status := range []schema.Status{schema.StatusSucceeded, schema.StatusFailed, schema.StatusFailed, schema.StatusExpired} {
		out := ResultMeta{Index: 10 - i, Status: status, Code: "c" + strconv.Itoa(i%2), Usage: &schema.Usage{TotalTokens: 2}}
		if !x.add(out) || x.add(out) {
			t.Errorf("index %d was not counted exactly once", out.Index)
		}
	}
	if x.counts.Stored() != 4 || x.counts.Failed != 2 || x.usage.TotalTokens != 8 || x.first != 9 {
		t.Errorf("%+v %+v first %d", x.counts, x.usage, x.first)
	}
	for i := range 100 { // an upstream that invents codes does not make the state grow
		x.add(ResultMeta{Index: 100 + i, Status: schema.StatusFailed, Code: "new" + strconv.Itoa(i)})
	}
	var s schema.State
	x.write(&s, 0)
	n := 0
	for _, e := range s.Errors {
		n += e.Count
	}
	if len(s.Errors) > schema.MaxErrorCodes || n != 103 {
		t.Errorf("%d codes, %d errors", len(s.Errors), n)
	}
}

// scripted is a sequence that is given.
type scripted []Entry

func (s *scripted) Next(context.Context) (Entry, error) {
	it := (*s)[0]
	*s = (*s)[1:]
	return it, nil
}
func (s *scripted) Close() {}

func TestInOrderHoldsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "results")
		from := rapid.IntRange(0, 10).Draw(t, "from")
		var come scripted
		var want []int
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for _, i := range rng.Perm(100)[:n] { // the other indexes never started
			come = append(come, Entry{Index: i, Data: fmt.Append(nil, i)})
			if i >= from {
				want = append(want, i)
			}
		}
		slices.Sort(want)
		come = append(come, Entry{Index: -1})
		o := &inputOrder{from: &come, turn: from, held: map[int]Entry{}, highest: -1}
		var got []int
		for {
			it, err := o.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if it.End() {
				break
			}
			if string(it.Data) != strconv.Itoa(it.Index) {
				t.Fatalf("index %d with the data of %s", it.Index, it.Data)
			}
			got = append(got, it.Index)
		}
		if !slices.Equal(got, want) || len(o.held) != 0 || o.heldBytes != 0 {
			t.Fatalf("got %v, want %v; %d held", got, want, len(o.held))
		}
	})
}

func TestBound(t *testing.T) {
	if b := newBound(0); b.now() != schema.DefaultConcurrency {
		t.Errorf("default %d", b.now())
	}
	fixed := newBound(5)
	fixed.learn(ResultMeta{Status: schema.StatusParked}, time.Now(), time.Now(), true)
	if fixed.now() != 5 {
		t.Errorf("a number given moved to %d", fixed.now())
	}
	b := newBound(schema.AutoConcurrency)
	now := time.Now()
	served := ResultMeta{Status: schema.StatusSucceeded}
	for range 100 {
		b.learn(served, now, now.Add(time.Second), true)
	}
	if b.now() != autoStart+100 {
		t.Errorf("it grows by one per result until it was too high, to %d", b.now())
	}
	for range 50 { // all of them fed before the cut
		b.learn(ResultMeta{Status: schema.StatusSucceeded, QueuedFor: time.Second}, now, now.Add(time.Second), true)
	}
	cut := b.now()
	if cut >= autoStart+100 || cut < (autoStart+100)/2 {
		t.Errorf("one round trip cut it to %d", cut)
	}
	b.learn(served, now.Add(2*time.Second), now.Add(3*time.Second), false)
	if b.now() != cut {
		t.Error("it grew though the window was not full")
	}
}
