package worker_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/schema"
)

// A request that another worker had begun is an attempt whose usage nobody knows: in
// its result, and in the sums of its job.
func TestLostStartIsAnUnknownAttempt(t *testing.T) {
	e := testenv.New(t)
	first := e.Worker(defaultQueue)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: []schema.Request{testenv.Chat("x", `{"fault":"hang","times":1}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.LLM.Wait(e.Ctx(), func(s faultyllm.Stats) bool { return s.InFlight == 1 }); err != nil {
		t.Fatal(err)
	}
	_ = first.Kill()
	e.Worker(defaultQueue)
	state, err := h.Wait(e.Ctx())
	if err != nil || state.State != schema.Succeeded || state.UnknownAttempts != 1 {
		t.Fatalf("%+v, %v", state, err)
	}
	for r, err := range h.Ordered(e.Ctx()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.UnknownAttempts != 1 || len(r.Attempts) != 2 || r.Usage == nil || *r.Usage != *r.Attempts[1].Usage {
			t.Fatalf("%+v", r)
		}
		if a := r.Attempts[0]; !a.UsageUnknown || a.Error.Code != schema.CodeWorkerDied || !r.StartedAt.Equal(a.StartedAt) {
			t.Errorf("%+v", a)
		}
	}
}

// What is known of earlier starts says how many of them were lost.
func TestLostStarts(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	for name, tt := range map[string]struct {
		known         *schema.Parked
		running, over int // lost while the last start runs, and once it is lost, too
	}{
		"begun once":                  {nil, 0, 1},
		"begun again":                 {&schema.Parked{Begun: make([]schema.Start, 1)}, 1, 2},
		"twice":                       {&schema.Parked{Begun: make([]schema.Start, 2)}, 2, 3},
		"parked":                      {&schema.Parked{Heard: true}, 0, 0},
		"parked, and begun again":     {&schema.Parked{Heard: true, Begun: make([]schema.Start, 1)}, 0, 1},
		"parked, and begun once more": {&schema.Parked{Heard: true, Begun: make([]schema.Start, 2)}, 1, 2},
		"given up by one that lives":  {&schema.Parked{Begun: make([]schema.Start, 0)}, 0, 1},
	} {
		if tt.known != nil {
			if got := len(tt.known.Lost(at, true)); got != tt.running {
				t.Errorf("%s: %d lost while it runs, want %d", name, got, tt.running)
			}
		}
		if got := len(tt.known.Lost(at, false)); got != tt.over {
			t.Errorf("%s: %d lost, want %d", name, got, tt.over)
		}
	}
}
