package worker_test

import (
	"fmt"
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
// request expires at once, and those of the other model, which are in flight
// meanwhile, are answered.
func TestParkBeyondTheDeadline(t *testing.T) {
	for _, deadline := range []time.Duration{time.Hour, 2 * time.Minute} {
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
			for expired := 0; expired == 0; { // until the owner has counted it
				state, err := h.State(e.Ctx())
				if err != nil {
					t.Fatal(err)
				}
				expired = state.Counts.Expired
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
			text := fmt.Sprintf("1 of %d requests could not be answered before the deadline", others+1)
			if state.Reason == nil || state.Reason.Code != schema.ReasonDeadline || state.Reason.Message != text {
				t.Errorf("%+v", state.Reason)
			}
			if n := e.LLM.Stats().Aborted; n != 0 {
				t.Errorf("%d calls of the other model were aborted", n)
			}
			for r, err := range h.Ordered(e.Ctx()) {
				if err != nil {
					break // the job's end
				}
				if r.Index == others && (r.Status != schema.StatusExpired || len(r.Attempts) != 1 || !strings.Contains(r.Error.Message, "past the job's deadline")) {
					t.Errorf("%+v, %+v", r, r.Error)
				}
			}
		})
	}
}
