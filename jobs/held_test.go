package jobs_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// An owner that was given a job's message dies before it wrote the job's record:
// until the message comes to another, the job is still there for who asks.
func TestJobIsKnownBeforeItsRecord(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	b := e.Store(queues)
	client := jobs.ClientOn(b, "default")
	h, err := client.Submit(e.Ctx(), schema.Job{ID: "held", Requests: testenv.Chats(3)})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	owners, err := js.Consumer(e.Ctx(), "PELTON_JOBS", "owners-default")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owners.Next(jetstream.FetchContext(e.Ctx())); err != nil {
		t.Fatal(err)
	}
	state, err := client.Job("default", h.ID()).State(e.Ctx())
	if err != nil || state.State != schema.Queued || state.Total != 3 {
		t.Errorf("%+v, %v", state, err)
	}
}
