package jobs_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs/store"
	"pelton/schema"
)

// A cancel counts for the job that has the name now, whether it was heard or is
// looked up, and not for a later job of that name.
func TestCancelOfAnEarlierJob(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	b := e.Store(queues)
	watch := func() *store.CancelWatch {
		t.Helper()
		c, err := b.Cancels.Watch()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	cancel := func() {
		t.Helper()
		if _, err := b.Conn().Request("pelton.cancel.default.j", []byte(`{"reason":"enough"}`), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	told := make(chan string, 2)
	heard := watch()
	cancel()
	lookedUp := watch()
	for name, c := range map[string]*store.CancelWatch{"heard": heard, "looked up": lookedUp} {
		for _, job := range []struct {
			after time.Duration // the marker
			want  bool
		}{{0, true}, {10 * time.Second, true}, {time.Hour, false}} { // the clocks of a cluster differ by some seconds at most
			c.SetPublishedAt("default", "j", time.Now().Add(job.after))
			_, cancelled, err := c.Find(e.Ctx(), "default", "j")
			if err != nil || cancelled != job.want {
				t.Errorf("%s, a job %s later: %v, %v", name, job.after, cancelled, err)
			}
		}
		t.Cleanup(c.OnCancel("default", "j", func(schema.Cancel) { told <- name }))
	}
	// What is heard from now on is the later job's.
	cancel()
	for range 2 {
		select {
		case <-told:
		case <-e.Ctx().Done():
			t.Fatal("nobody is told of it")
		}
	}
	for name, c := range map[string]*store.CancelWatch{"heard": heard, "looked up": lookedUp} {
		if marker, cancelled, err := c.Find(e.Ctx(), "default", "j"); err != nil || !cancelled || marker.Reason != "enough" {
			t.Errorf("%s: %+v, %v, %v", name, marker, cancelled, err)
		}
	}
}
