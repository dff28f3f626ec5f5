package jobs_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// serve stores a result for each of n requests, failed for those in bad, and
// returns their custom ids in the order of their indexes, and the job's end.
func serve(x *testenv.ByHand, h *jobs.Handle, n int, bad ...int) (ids []string, state *schema.State) {
	x.T.Helper()
	ids = make([]string, n)
	for range n {
		w, m := x.Take()
		status := schema.StatusSucceeded
		if slices.Contains(bad, w.Index) {
			status = schema.StatusFailed
		}
		ids[w.Index] = w.CustomID
		x.Tell(w, x.Put(w, status))
		_ = m.Ack()
	}
	state, err := h.Wait(x.Ctx())
	if err != nil {
		x.T.Fatal(err)
	}
	return ids, state
}

// What did not succeed runs again as a new job, from the message of the old one
// or from its input in the object store.
func TestRetry(t *testing.T) {
	for _, large := range []bool{false, true} {
		t.Run(fmt.Sprintf("large %v", large), func(t *testing.T) {
			x := testenv.NewByHand(t)
			var lines strings.Builder
			for i := range 6 {
				fmt.Fprintf(&lines, `{"custom_id":"c%d","body":{"model":"m","messages":[]}}`+"\n", i)
			}
			lines.WriteString(`{"model":"m","messages":[]}` + "\n")
			job := schema.Job{ID: "first", Concurrency: 3, Metadata: []byte(`{"team":"a"}`)}
			var h *jobs.Handle
			if large {
				var err error
				if h, err = x.Client.Submit(x.Ctx(), job, jobs.WithInput(strings.NewReader(lines.String()))); err != nil {
					t.Fatal(err)
				}
			} else {
				for line := range strings.Lines(lines.String()) {
					r, err := schema.ParseRequest([]byte(strings.TrimSpace(line)), schema.Limits{}, nil)
					if err != nil {
						t.Fatal(err)
					}
					job.Requests = append(job.Requests, r)
				}
				h = x.Submit(job)
			}
			if _, err := h.Retry(x.Ctx()); !errors.Is(err, jobs.ErrRunning) {
				t.Errorf("while it runs: %v", err)
			}
			serve(x, h, 7, 1, 4, 6)

			second, err := h.Retry(x.Ctx())
			if err != nil {
				t.Fatal(err)
			}
			ids, state := serve(x, second, 3, 1)
			if want := []string{"c1", "c4", "first.6"}; !slices.Equal(ids, want) {
				t.Errorf("custom ids %q, want %q", ids, want)
			}
			if second.ID() != "first-r1" || state.RetryOf != "first" || !bytes.Equal(state.Metadata, job.Metadata) {
				t.Errorf("%s: %+v", second.ID(), state)
			}
			// The first again, then the second: numbers that are taken are skipped.
			other, err := h.Retry(x.Ctx())
			if err != nil || other.ID() != "first-r2" {
				t.Fatalf("%v, %v", other, err)
			}
			serve(x, other, 3)
			third, err := second.Retry(x.Ctx())
			if err != nil || third.ID() != "first-r3" {
				t.Fatalf("%v, %v", third, err)
			}
			ids, state = serve(x, third, 1)
			if ids[0] != "c4" || state.RetryOf != "first-r1" || state.State != schema.Succeeded {
				t.Errorf("%q, %+v", ids, state)
			}
			if _, err := third.Retry(x.Ctx()); !errors.Is(err, jobs.ErrNothingToRetry) {
				t.Errorf("of a job that succeeded: %v", err)
			}
		})
	}
}

// What was never started runs again as well.
func TestRetryCancelled(t *testing.T) {
	x := testenv.NewByHand(t)
	h := x.Submit(schema.Job{ID: strings.Repeat("long", 16), Requests: testenv.Chats(5), Concurrency: 1})
	w, m := x.Take()
	if err := h.Cancel(x.Ctx(), "enough"); err != nil {
		t.Fatal(err)
	}
	x.Tell(w, x.Put(w, schema.StatusSucceeded))
	_ = m.Ack()
	if _, err := h.Wait(x.Ctx()); err != nil {
		t.Fatal(err)
	}
	again, err := h.Retry(x.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	if len(again.ID()) > schema.MaxIDLength {
		t.Errorf("id %s", again.ID())
	}
	if _, state := serve(x, again, 4); state.State != schema.Succeeded {
		t.Errorf("%+v", state)
	}
}

// A message that is no job keeps its bytes, for whoever wonders.
func TestMessageKept(t *testing.T) {
	x := testenv.NewByHand(t)
	junk := []byte("{\"requests\": \x00 this is no job")
	ack, err := x.JS.Publish(x.Ctx(), "pelton.jobs.default", junk)
	if err != nil {
		t.Fatal(err)
	}
	h := x.Client.Job("default", fmt.Sprintf("j%d", ack.Sequence))
	state, err := h.Wait(x.Ctx())
	if err != nil || state.State != schema.Failed || state.Reason.Code != schema.ReasonInvalidJob {
		t.Fatalf("%+v, %v", state, err)
	}
	if data, err := h.Message(x.Ctx()); err != nil || !bytes.Equal(data, junk) {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := h.Retry(x.Ctx()); err == nil || !strings.Contains(err.Error(), "JSON") {
		t.Errorf("retried: %v", err)
	}
	if _, err := x.Client.Job("default", "nobody").Message(x.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

// An id is free again once its job was removed.
func TestIDAfterRemoval(t *testing.T) {
	x := testenv.NewByHand(t)
	for n := range 3 {
		h := x.Submit(schema.Job{ID: "again", Requests: testenv.Chats(n + 1), Concurrency: 1})
		if _, state := serve(x, h, n+1); state.State != schema.Succeeded || state.Total != n+1 {
			t.Fatalf("time %d: %+v", n, state)
		}
		if _, err := h.Remove(x.Ctx()); err != nil {
			t.Fatal(err)
		}
	}
}
