package worker_test

import (
	"errors"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// Fail-fast by count and by rate, as the contract has them: a rate counts only
// after so many results, and what was not started stays so.
func TestFailFastPolicies(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	e.Worker(defaultQueue)
	for name, c := range map[string]struct {
		policy schema.FailFast
		fails  string // by index: F fails
		stored int    // results when it ends; 0: all of them
	}{
		"first":                 {schema.FailFast{Failures: 1}, "...F....", 4},
		"third":                 {schema.FailFast{Failures: 3}, "F.F..F....", 6},
		"too few":               {schema.FailFast{Failures: 3}, "F.F.......", 0},
		"rate at its number":    {schema.FailFast{Rate: 0.5, After: 4}, "F..F....", 4},
		"rate reached later":    {schema.FailFast{Rate: 0.5, After: 2}, "..FFF...", 4},
		"rate before it counts": {schema.FailFast{Rate: 0.5, After: 8}, "FFF.........", 0},
		"rate without after":    {schema.FailFast{Rate: 1}, ".F..", 0},
		"all fail by rate":      {schema.FailFast{Rate: 1}, "F...", 1},
		"both":                  {schema.FailFast{Failures: 2, Rate: 0.9, After: 2}, ".F.F....", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := make([]schema.Request, len(c.fails))
			for i, fails := range c.fails {
				mock := ""
				if fails == 'F' {
					mock = `{"status":400}`
				}
				requests[i] = testenv.Chat(name, mock)
			}
			results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: requests, Concurrency: 1, FailFast: c.policy})
			want := c.stored
			if want == 0 {
				want = len(requests)
			}
			var failed *jobs.ResultError
			if errors.As(err, &failed) != (c.stored != 0) || c.stored == 0 && err != nil {
				t.Fatalf("%d results, %v", len(results), err)
			}
			// What was fed before the owner knew is aborted, and has a result that says so.
			ended := 0
			for _, r := range results {
				if r.Status == schema.StatusSucceeded || r.Status == schema.StatusFailed {
					ended++
				}
			}
			if ended != want {
				t.Errorf("%d results of %d requests, want %d", ended, len(requests), want)
			}
			if failed != nil && (failed.State.Counts.NotStarted == 0 || c.fails[failed.Index] != 'F') {
				t.Errorf("%+v, index %d", failed.State.Counts, failed.Index)
			}
		})
	}
}
