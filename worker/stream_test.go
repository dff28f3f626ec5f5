package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// streamed are n streamed requests, each with an answer of so many words.
func streamed(n, words int, mock string) []schema.Request {
	list := make([]schema.Request, n)
	for i := range list {
		script := fmt.Sprintf(`{"key":"k%d","answer":%q`, i, answerOf(i, words))
		if mock != "" {
			script += "," + mock
		}
		list[i] = schema.Request{Body: json.RawMessage(fmt.Sprintf(`{"model":"m","stream":true,"messages":[{"role":"user","content":"%d"}],"mock":%s}}`, i, script))}
	}
	return list
}

func answerOf(i, words int) string {
	var b strings.Builder
	for word := range words {
		if word > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d-%d", i, word)
	}
	return b.String()
}

// listenTo reads a job's deltas behind the test's back. It returns once the
// reader listens.
func listenTo(ctx context.Context, t *testing.T, h *jobs.Handle, each func(*jobs.Delta)) (done <-chan error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		for d, err := range h.Deltas(ctx) {
			if err != nil {
				ended <- err
				return
			}
			each(d)
		}
		ended <- nil
	}()
	return ended
}

// held submits a job while the upstream holds every call, so that readers can
// be there before the first chunk. The returned function lets the calls go.
func held(t *testing.T, e *testenv.Env, job schema.Job) (*jobs.Handle, func()) {
	t.Helper()
	release := e.LLM.Hold()
	t.Cleanup(release)
	h, err := e.Client().Submit(e.Ctx(), job)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight > 0 }); err != nil {
		t.Fatal(err)
	}
	return h, release
}

// 256 streams of 200 chunks at once: each reader that keeps up gets every chunk
// of every index in its order, and the results hold the same text.
func TestDeltasOfManyStreams(t *testing.T) {
	const n, words = 256, streamWords
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h, release := held(t, e, schema.Job{Requests: streamed(n, words, ""), Concurrency: n})
	texts := make([]strings.Builder, n)
	ended, missed, again, chunks := 0, 0, 0, 0
	var last *jobs.Delta
	next := make([]int, n)
	reading := make(chan struct{})
	done := listenTo(e.Ctx(), t, h, func(d *jobs.Delta) {
		if last == nil {
			close(reading)
		}
		last = d
		if d.Index < 0 {
			return
		}
		missed += d.Missed
		if d.Again {
			again++
		}
		if d.Status != "" {
			ended++
			return
		}
		if d.Sequence != next[d.Index] || d.Attempt != 1 {
			t.Errorf("index %d: chunk %d of attempt %d where %d of 1 was due", d.Index, d.Sequence, d.Attempt, next[d.Index])
		}
		next[d.Index]++
		chunks++
		texts[d.Index].WriteString(d.Text())
	})
	awaitListeners(t, e, e.Set.Names.Deltas(h.Queue(), h.ID(), 0))
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	<-reading
	if missed != 0 || again != 0 || ended != n || chunks < n*words {
		t.Errorf("missed %d, begun again %d, ended %d, %d chunks", missed, again, ended, chunks)
	}
	var sum schema.Usage
	for r, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := answerOf(r.Index, words); testenv.Answer(r) != want || texts[r.Index].String() != want {
			t.Fatalf("index %d: result %.60q, deltas %.60q", r.Index, testenv.Answer(r), texts[r.Index].String())
		}
		if r.TTFTMs == nil || *r.TTFTMs <= 0 || r.Attempts[0].TTFTMs == nil {
			t.Fatalf("index %d: no time to first token", r.Index)
		}
		sum = sum.Add(*r.Usage)
	}
	if last == nil || last.Index != -1 || last.Usage != sum || sum.CompletionTokens != n*words {
		t.Errorf("the last delta is %+v, the results' usage %+v", last, sum)
	}
}

// A reader that stops reading is told how many chunks it has missed, and nobody
// waits for it.
func TestDeltasOfASlowReader(t *testing.T) {
	const n, words = 60, 600 // 36,000 chunks: more than a reader may have before it
	e := testenv.New(t)
	e.Worker(defaultQueue)
	h, release := held(t, e, schema.Job{Requests: streamed(n, words, ""), Concurrency: 64})
	stall := make(chan struct{})
	got, missed := 0, 0
	done := listenTo(e.Ctx(), t, h, func(d *jobs.Delta) {
		if got == 0 {
			<-stall
		}
		got++
		missed += d.Missed
	})
	awaitListeners(t, e, e.Set.Names.Deltas(h.Queue(), h.ID(), 0))
	release()
	if _, err := h.Wait(e.Ctx()); err != nil { // the job ends though its reader does not move
		t.Fatal(err)
	}
	close(stall)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Each stream has a chunk for its role, one per word, one for its end, and
	// the word that it has ended.
	if total := n*(words+3) + 1; missed == 0 || got+missed != total {
		t.Errorf("%d deltas, %d missed of %d", got, missed, total)
	}
}

// A stream that breaks off is tried again: readers learn that what they had is
// void. Usage is what the upstream counted over all attempts.
func TestDeltasOfARetry(t *testing.T) {
	e := testenv.New(t, testenv.LLM(faultyllm.Config{}))
	e.Worker(defaultQueue)
	h, release := held(t, e, schema.Job{Requests: streamed(4, 10, `"fault":"truncated","times":1`)})
	texts := make([]string, 4)
	again := 0
	done := listenTo(e.Ctx(), t, h, func(d *jobs.Delta) {
		switch {
		case d.Index < 0:
			return
		case d.Again:
			again++
			texts[d.Index] = ""
		}
		texts[d.Index] += d.Text()
	})
	awaitListeners(t, e, e.Set.Names.Deltas(h.Queue(), h.ID(), 0))
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if again != 4 {
		t.Errorf("%d answers began again", again)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil || state.Usage == nil {
		t.Fatal(state, err)
	}
	var sum schema.Usage
	for r, err := range h.Results(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Attempts) != 2 || texts[r.Index] != answerOf(r.Index, 10) {
			t.Errorf("index %d: %d attempts, %q", r.Index, len(r.Attempts), texts[r.Index])
		}
		for _, a := range r.Attempts {
			if a.Usage != nil {
				sum = sum.Add(*a.Usage)
			}
		}
	}
	if *state.Usage != sum {
		t.Errorf("the job's usage is %+v, its attempts' %+v", *state.Usage, sum)
	}
}

// A cancel in mid-stream keeps what came in the result.
func TestCancelKeepsThePartialText(t *testing.T) {
	e := testenv.New(t, testenv.LLM(faultyllm.Config{TokensPerSecond: 20}))
	e.Worker(defaultQueue)
	h, release := held(t, e, schema.Job{Requests: streamed(3, 10_000, "")})
	ctx := e.Ctx()
	seen := make(chan int, 100_000)
	done := listenTo(ctx, t, h, func(d *jobs.Delta) {
		if strings.Contains(d.Text(), "-1") {
			seen <- d.Index
		}
	})
	awaitListeners(t, e, e.Set.Names.Deltas(h.Queue(), h.ID(), 0))
	release()
	for begun := map[int]bool{}; len(begun) < 3; {
		select {
		case index := <-seen:
			begun[index] = true
		case <-ctx.Done():
			t.Fatal("no chunks")
		}
	}
	at := time.Now()
	if err := h.Cancel(ctx, "enough"); err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(ctx, func(s faultyllm.Stats) bool { return s.InFlight == 0 && s.Aborted == 3 }); err != nil {
		t.Fatal(err)
	}
	t.Logf("the upstream saw the end after %v", time.Since(at))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range h.Results(ctx) {
		if err != nil {
			if n != 3 {
				t.Fatal(err)
			}
			break // that the job was cancelled
		}
		n++
		want := fmt.Sprintf("%d-0 %d-1", r.Index, r.Index)
		if r.Status != schema.StatusCancelled || !strings.HasPrefix(testenv.Answer(r), want) {
			t.Errorf("index %d: %s %q", r.Index, r.Status, testenv.Answer(r))
		}
	}
}

// Deltas of a job that has ended are none, and of one that never was an error.
func TestDeltasTooLate(t *testing.T) {
	e := testenv.New(t)
	e.Worker(defaultQueue)
	c := e.Client()
	h, err := c.Submit(e.Ctx(), schema.Job{Requests: streamed(2, 3, "")})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for d, err := range h.Deltas(e.Ctx()) {
		if n++; err != nil || d.Index != -1 || d.Usage != *state.Usage {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if n != 1 {
		t.Errorf("%d deltas", n)
	}
	for _, id := range []string{"never", "a.b", "*"} {
		for d, err := range c.Job("default", id).Deltas(e.Ctx()) {
			if err == nil {
				t.Errorf("job %q: %+v", id, d)
			}
		}
	}
}
