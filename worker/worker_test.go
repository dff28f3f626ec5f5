package worker_test

import (
	"testing"

	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/schema"
)

func verify(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

func TestOneJobEndToEnd(t *testing.T) {
	e := testenv.New(t)
	e.Worker(map[string]int{"default": 256})
	results, err := e.Client().Run(e.Ctx(), schema.Job{Requests: testenv.Chats(100)})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 100 {
		t.Fatalf("%d results", len(results))
	}
	for i, r := range results {
		if r.Index != i || r.Status != schema.StatusSucceeded {
			t.Fatalf("result %d: index %d, %s, %v", i, r.Index, r.Status, r.Err())
		}
	}
	if got := testenv.Answer(&results[7]); got != "You said: 7" {
		t.Errorf("answer 7 is %q", got)
	}
	if s := e.LLM.Stats(); s.Peak > 8 || s.Calls != 100 {
		t.Errorf("peak %d, calls %d", s.Peak, s.Calls)
	}
}
