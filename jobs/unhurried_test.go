package jobs_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/schema"
)

// A question that dies with a connection is put again, and not waited for until
// the caller's last moment.
func TestQuestionDiesWithTheConnection(t *testing.T) {
	x := testenv.NewByHand(t, testenv.Listen())
	h := x.Submit(schema.Job{ID: "asked", Requests: testenv.Chats(1)})
	proxy := testenv.NewProxy(t)
	proxy.Point(strings.TrimPrefix(x.NATS.ClientURL(), "nats://"))
	nc := testenv.Dial(t, "nats://"+proxy.Addr())
	client, err := jobs.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		state *schema.State
		err   error
	}
	asking, ended := make(chan uint64, 1), make(chan end, 1)
	var once sync.Once
	go func() {
		state, err := client.Job(h.Queue(), h.ID()).Wait(x.Ctx(), jobs.OnProgress(func(schema.State) {
			once.Do(func() { // what it asks next is lost
				proxy.Mute()
				asking <- nc.Stats().OutMsgs
			})
		}))
		ended <- end{state, err}
	}()
	for before := <-asking; nc.Stats().OutMsgs == before; {
		runtime.Gosched()
	}
	proxy.Cut()
	proxy.Heal()
	x.Finish(x.Take())
	if e := <-ended; e.err != nil || e.state.State != schema.Succeeded {
		t.Errorf("%+v, %v", e.state, e.err)
	}
}
