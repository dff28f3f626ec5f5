package worker_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs/store"
)

// owners follows who writes a job's record, in the order of the writes. Each
// taking of a job has a token of its own, which begins with the worker's name.
type owners struct {
	c      *crash
	watch  jetstream.KeyWatcher
	tokens []string
}

// by reports whether a worker made the last write.
func (o *owners) by(worker string) bool {
	return strings.HasPrefix(o.tokens[len(o.tokens)-1], worker+" ")
}

func (c *crash) owners() *owners {
	c.t.Helper()
	js, err := jetstream.New(c.nc)
	if err != nil {
		c.t.Fatal(err)
	}
	kv, err := js.KeyValue(c.e.Ctx(), "PELTON_STATE")
	if err != nil {
		c.t.Fatal(err)
	}
	watch, err := kv.Watch(c.e.Ctx(), "default.crash")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = watch.Stop() })
	return &owners{c: c, watch: watch}
}

// until reads on until a write meets cond, which is given the state it wrote.
func (o *owners) until(cond func(state string) bool) {
	o.c.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case entry := <-o.watch.Updates():
			if entry == nil { // all that was there
				continue
			}
			var record struct{ Owner, State string }
			if err := json.Unmarshal(entry.Value(), &record); err != nil {
				o.c.t.Fatal(err)
			}
			o.tokens = append(o.tokens, record.Owner)
			if cond(record.State) {
				return
			}
		case <-limit:
			o.c.t.Fatalf("the record was written by %v", o.tokens)
		}
	}
}

// An owner that was paused beyond its lease comes back while the job still runs:
// it writes the job's record no more, and goes on as a worker.
func TestPausedOwnerIsFenced(t *testing.T) {
	t.Parallel()
	e := slowUpstream(t)
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	first := testenv.StartProcess(t, testenv.Role{Name: "first", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 4})
	c := submitTo(t, e, server.URL)
	c.answered(crashTotal / 8)
	record := c.owners()
	record.until(func(string) bool { return record.by("first") })
	first.Pause()
	fault := time.Now()
	testenv.StartProcess(t, testenv.Role{Name: "second", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 4})
	record.until(func(string) bool { return record.by("second") })
	taken := len(record.tokens) - 1
	// From here on the upstream holds every call: the job cannot end before the
	// first owner has had the time to write, several times over.
	release := e.LLM.Hold()
	defer release()
	first.Resume()
	renewals := 0
	record.until(func(string) bool { renewals++; return renewals == 4 }) // a heartbeat each
	release()
	c.check(fault)
	record.until(func(state string) bool { return state == "succeeded" })
	if slices.Contains(record.tokens[taken:], record.tokens[taken-1]) {
		t.Errorf("the fenced owner wrote: %v", record.tokens)
	}
}

// A job whose owner is killed stands still until the next owner has it. The
// promise is less than 10 s; the test allows for a machine that is busy.
func TestOwnersDeathCosts(t *testing.T) {
	t.Parallel()
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 50 * time.Millisecond, KeepTimes: 10 * crashTotal}))
	server := testenv.StartProcess(t, testenv.Role{Name: "server", Store: t.TempDir()})
	owner := testenv.StartProcess(t, testenv.Role{Name: "owner", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 4})
	c := submitTo(t, e, server.URL)
	c.answered(crashTotal / 8)
	testenv.StartProcess(t, testenv.Role{Name: "other", NATS: server.URL, LLM: e.LLM.URL(), Queues: defaultQueue, Slots: 4})
	c.answered(crashTotal / 4)
	killed := time.Now()
	owner.Kill()
	c.check(killed)
	longest, before := time.Duration(0), killed
	for _, at := range e.LLM.Arrivals() {
		if at.After(killed) {
			longest, before = max(longest, at.Sub(before)), at
		}
	}
	t.Logf("the longest silence after the owner's death: %s", longest.Round(time.Millisecond))
	if longest > 5*store.AckWait {
		t.Errorf("nothing was called for %s", longest)
	}
}
