package fleet

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// work makes calls over f until ctx ends, and tells of each.
func work(ctx context.Context, f *Fleet, r role, tell func(begin bool, n int, at time.Time)) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
		n  int
	)
	for range r.Callers {
		wg.Go(func() {
			for {
				p, err := f.Wait(ctx, "d", r.Limits, r.Tokens)
				if err != nil {
					return
				}
				mu.Lock()
				n++
				call := n
				tell(true, call, time.Now())
				mu.Unlock()
				timer := time.NewTimer(r.Call) // the call
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
				}
				mu.Lock()
				tell(false, call, time.Now())
				mu.Unlock()
				p.Done(r.Tokens, true)
			}
		})
	}
	wg.Wait()
}

// span is a call as an upstream sees it.
type span struct {
	worker     string
	n          int
	begin, end time.Time
	tokens     int
}

// recorder holds the calls of all workers of a test.
type recorder struct {
	mu    sync.Mutex
	spans []span
	open  map[string]map[int]int // worker and call to the place in spans
	more  chan struct{}
}

func newRecorder() *recorder {
	return &recorder{open: map[string]map[int]int{}, more: make(chan struct{}, 1)}
}

func (r *recorder) add(worker string, begin bool, n int, at time.Time, tokens int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[worker] == nil {
		r.open[worker] = map[int]int{}
	}
	if begin {
		r.open[worker][n] = len(r.spans)
		r.spans = append(r.spans, span{worker: worker, n: n, begin: at, tokens: tokens})
		signal(r.more)
	} else if i, ok := r.open[worker][n]; ok {
		r.spans[i].end = at
		delete(r.open[worker], n)
	}
}

// endAll ends what a worker that was killed left open.
func (r *recorder) endAll(worker string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.open[worker] {
		r.spans[i].end = at
	}
	delete(r.open, worker)
}

// drive makes calls over a member in this process until ctx ends.
func (r *recorder) drive(ctx context.Context, wg *sync.WaitGroup, f *Fleet, role role) {
	wg.Go(func() {
		work(ctx, f, role, func(begin bool, n int, at time.Time) { r.add(f.name, begin, n, at, role.Tokens) })
	})
}

// wait returns when n more calls have begun after the given moment, by the given
// workers or, where none is named, by anyone.
func (r *recorder) wait(t *testing.T, n int, after time.Time, workers ...string) {
	t.Helper()
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	for {
		got := 0
		r.mu.Lock()
		for _, s := range r.spans {
			if s.begin.After(after) && (len(workers) == 0 || slices.Contains(workers, s.worker)) {
				got++
			}
		}
		r.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-r.more:
		case <-timer.C:
			t.Fatalf("%d of %d calls", got, n)
		}
	}
}

func (r *recorder) all() []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.spans)
	slices.SortFunc(list, func(a, b span) int { return a.begin.Compare(b.begin) })
	return list
}

// peak returns the most calls there were at once.
func (r *recorder) peak() int {
	type edge struct {
		at time.Time
		by int
	}
	var edges []edge
	for _, s := range r.all() {
		edges = append(edges, edge{s.begin, 1})
		if !s.end.IsZero() {
			edges = append(edges, edge{s.end, -1})
		}
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	now, most := 0, 0
	for _, e := range edges {
		now += e.by
		most = max(most, now)
	}
	return most
}

// checkPeak checks that no more than limit calls were made at once.
func (r *recorder) checkPeak(t *testing.T, limit int) {
	t.Helper()
	if got := r.peak(); got > limit {
		t.Errorf("%d calls at once, of at most %d", got, limit)
	}
}

// checkRate checks every window between two calls: at most the rate and one
// second of it, of calls, and of tokens, where perMinute is not 0.
func (r *recorder) checkRate(t *testing.T, perMinute int) {
	t.Helper()
	r.checkWindows(t, perMinute, func(span) float64 { return 1 })
}

func (r *recorder) checkWindows(t *testing.T, perMinute int, weight func(span) float64) {
	t.Helper()
	list := r.all()
	rate := float64(perMinute) / 60
	for i := range list {
		sum := 0.0
		for j := i; j < len(list); j++ {
			sum += weight(list[j])
			window := list[j].begin.Sub(list[i].begin)
			if most := rate*window.Seconds() + max(rate, weight(list[j])); sum > most+1e-6 {
				t.Fatalf("%.0f in %v from call %d on, of at most %.1f", sum, window, i, most)
			}
		}
	}
}

// achieved returns what part of the rate was used between two moments.
func (r *recorder) achieved(perMinute int, from, to time.Time) float64 {
	n := 0
	for _, s := range r.all() {
		if !s.begin.Before(from) && s.begin.Before(to) {
			n++
		}
	}
	return float64(n) / (float64(perMinute) / 60 * to.Sub(from).Seconds())
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("never: " + what)
		}
	}
}
