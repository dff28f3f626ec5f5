package worker_test

import (
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// One of two models asks for a pause that ends after the job's deadline: its
// request waits until then and expires, and those of the other model, which are in
// flight meanwhile, are answered.
func TestParkBeyondTheDeadline(t *testing.T) {
	for _, deadline := range []time.Duration{8 * time.Second, 15 * time.Second} {
		t.Run(deadline.String(), func(t *testing.T) {
			t.Parallel()
			const others = 5
			e := testenv.New(t)
			limited, err := faultyllm.New(faultyllm.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if err := limited.Start(""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = limited.Close() })
			e.Worker(defaultQueue, func(c *worker.Config) {
				c.Router = e.Router(func(rc *router.Config) {
					rc.Deployments = []router.Deployment{
						{ID: "steady", Group: "m", Model: "m", BaseURL: e.LLM.URL()},
						{ID: "limited", Group: "limited", Model: "limited", BaseURL: limited.URL()},
					}
				})
			})
			requests := testenv.Chats(others)
			late := testenv.Chat("late", `{"status":429,"retry_after":7200}`)
			late.Body = []byte(strings.Replace(string(late.Body), `"m"`, `"limited"`, 1))
			release := e.LLM.Hold()
			defer release()
			h, err := e.Client().Submit(e.Ctx(), schema.Job{
				Requests: append(requests, late), Deadline: schema.Deadline{After: deadline},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == others }); err != nil {
				t.Fatal(err)
			}
			for parked := (*schema.Parked)(nil); parked == nil; { // until the worker has stored it
				if parked, err = e.Store(defaultQueue).Parked.Get(e.Ctx(), "default", h.ID(), others); err != nil {
					t.Fatal(err)
				}
			}
			release()
			state, err := h.Wait(e.Ctx())
			if err != nil {
				t.Fatal(err)
			}
			want := schema.Counts{Succeeded: others, Expired: 1}
			if state.State != schema.Expired || state.Counts != want {
				t.Errorf("%s, %+v", state.State, state.Counts)
			}
			if state.Reason == nil || state.Reason.Code != schema.ReasonDeadline {
				t.Errorf("%+v", state.Reason)
			}
			if n := e.LLM.Stats().Aborted; n != 0 {
				t.Errorf("%d calls of the other model were aborted", n)
			}
			for r, err := range h.Ordered(e.Ctx()) {
				if err != nil {
					break // the job's end
				}
				if r.Index == others && (r.Status != schema.StatusExpired || len(r.Attempts) != 1 || !strings.Contains(r.Error.Message, "limited cools down: rate_limited")) {
					t.Errorf("%+v, %+v", r, r.Error)
				}
			}
		})
	}
}
