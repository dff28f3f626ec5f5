package worker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/schema"
)

// limitResults sets how many bytes the results stream may hold; -1 is no limit.
func limitResults(t *testing.T, e *testenv.Env, n int64) {
	t.Helper()
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(e.Ctx(), "PELTON_RESULTS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxBytes = n
	if _, err := js.UpdateStream(e.Ctx(), cfg); err != nil {
		t.Fatal(err)
	}
}

// A full store takes no result: those that are there are kept and stored when
// there is room, nothing new is started meanwhile, and nothing is paid twice.
func TestFullStoreLosesNothing(t *testing.T) {
	const total, concurrency = 60, 8
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 5 * time.Millisecond}))
	e.Worker(defaultQueue)
	limitResults(t, e, 10_000)
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: testenv.Chats(total), Concurrency: concurrency})
	if err != nil {
		t.Fatal(err)
	}
	// It fills up, and then the calls stop.
	sub := e.Listen("pelton.progress.default." + h.ID())
	last, same := -1, 0
	for same < 3 { // three heartbeats without any news
		if _, err := sub.NextMsgWithContext(e.Ctx()); err != nil {
			t.Fatal(err)
		}
		if n := e.LLM.Stats().Calls; n != last {
			last, same = n, 0
		} else {
			same++
		}
	}
	if last >= total {
		t.Fatalf("%d calls: the store was not full", last)
	}
	limitResults(t, e, -1)
	final, err := h.Wait(e.Ctx())
	if err != nil || final.Counts.Succeeded != total {
		t.Fatalf("%+v, %v", final, err)
	}
	if n := e.LLM.Stats().Calls; n != total {
		t.Errorf("%d calls for %d requests", n, total)
	}
}
