package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pelton/internal/faultyllm"
)

// TestShedIsAnUnbrokenRow: what may go are sequences that are all written, in
// whatever order they came.
func TestShedIsAnUnbrokenRow(t *testing.T) {
	const n = 10_000
	order := rand.Perm(n)
	for i := range order { // about as far out of order as a window lets them be
		j := min(n-1, i+rand.IntN(100))
		order[i], order[j] = order[j], order[i]
	}
	for _, seqs := range [][]int{order, rand.Perm(n)} {
		var s shed
		written := make([]bool, n+2)
		for _, i := range seqs {
			s.wrote(uint64(i + 1))
			written[i+1] = true
			if written[s.low+1] || s.low > 0 && !written[s.low] {
				t.Fatalf("low is %d", s.low)
			}
		}
		if s.low != n || len(s.above) != 0 {
			t.Errorf("low is %d, %d above it", s.low, len(s.above))
		}
	}
}

// TestShedKeepsTheLatest: nothing goes before twice as many are there as go at once.
func TestShedKeepsTheLatest(t *testing.T) {
	var s shed
	for seq := uint64(1); seq < 2*shedEvery; seq++ {
		s.wrote(seq)
		if s.due() {
			t.Fatalf("due at %d", seq)
		}
	}
	s.wrote(2 * shedEvery)
	if !s.due() {
		t.Error("not due")
	}
}

// What has left the store is in the output: a run that is broken off again and
// again, with the store shed between, ends with one result each and no second call.
func TestShedAndResume(t *testing.T) {
	defer func(was uint64) { shedEvery = was }(shedEvery)
	shedEvery = 20
	b := newBench(t)
	const n = 1000
	in, out := b.prompts(n), filepath.Join(b.dir, "out.jsonl")
	for _, until := range []int{150, 500, 501, n} {
		more := []string{"--resume"}
		if until == 150 {
			more = nil
		}
		done := b.start(append([]string{"run", in, "-o", out, "-c", "8"}, more...)...)
		if until < n {
			b.until("calls", func() bool { return b.llm.Stats().Calls >= until })
			b.signals <- os.Interrupt
		}
		if code := <-done; code != exitInterrupted && code != exitOK || until == n && code != exitOK {
			t.Fatalf("exit code %d\n%s", code, b.err.String())
		}
	}
	b.complete(out, n)
	if s := b.llm.Stats(); s.Calls != n || s.Duplicates != 0 {
		t.Errorf("%d calls, %d of them again", s.Calls, s.Duplicates)
	}
}

// In the order of completion, and with failures that end the job.
func TestShedUnderFailFast(t *testing.T) {
	defer func(was uint64) { shedEvery = was }(shedEvery)
	shedEvery = 20
	for _, order := range []string{"input", "completion"} {
		t.Run(order, func(t *testing.T) {
			b := newBench(t)
			in, out := b.prompts(400), filepath.Join(b.dir, "out.jsonl")
			done := b.start("run", in, "-o", out, "-c", "4", "--order", order, "--fail-fast")
			b.until("calls", func() bool { return b.llm.Stats().Calls >= 200 })
			if err := b.llm.Update(func(c *faultyllm.Config) { c.Faults = faultyllm.Rates{"400": 1} }); err != nil {
				t.Fatal(err)
			}
			if code := <-done; code != exitFailures && code != exitOK {
				t.Fatalf("exit code %d\n%s", code, b.err.String())
			}
			if got := len(b.indexes(out)); got < 200 {
				t.Errorf("%d results of 200 calls or more", got)
			}
		})
	}
}
