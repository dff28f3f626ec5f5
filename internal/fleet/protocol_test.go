package fleet

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/router"
)

// stub speaks for a coordinator, so that a test can say what a real one does not.
func stub(t *testing.T, s *server, epoch uint64) (nc *nats.Conn, ups <-chan *up, say func(member string, d down)) {
	t.Helper()
	nc, err := connect(s.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	names := subjects{prefix: "pelton.fleet."}
	heard := make(chan *up, 100)
	if _, err := nc.Subscribe(names.up("stub", "*"), func(m *nats.Msg) {
		var u up
		if json.Unmarshal(m.Data, &u) == nil && len(m.Data) > 0 {
			heard <- &u
		}
	}); err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(beacon{ID: "stub", Name: "stub", Epoch: epoch, Revision: 1 << 40})
	if err := nc.Publish(names.beacon(), data); err != nil {
		t.Fatal(err)
	}
	return nc, heard, func(member string, d down) {
		d.Epoch = epoch
		data, _ := json.Marshal(d)
		if err := nc.Publish(names.down(member, "stub"), data); err != nil {
			t.Error(err)
		}
	}
}

// next returns the next message that satisfies ok.
func next(t *testing.T, ups <-chan *up, what string, ok func(*up) bool) *up {
	t.Helper()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	for {
		select {
		case u := <-ups:
			if ok(u) {
				return u
			}
		case <-timer.C:
			t.Fatal("never: " + what)
		}
	}
}

// A permit in an answer that is older than the lease is not taken: it may come
// from a coordinator that was paused after it had decided.
func TestAnswerOlderThanTheLease(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := s.join("f")
	_, ups, say := stub(t, s, f.Status().Epoch+1e6)
	next(t, ups, "hello", func(u *up) bool { return u.State != nil })
	got := make(chan router.Permit)
	go func() {
		p, err := f.Wait(t.Context(), "d", router.Limits{MaxParallel: 1}, 0)
		if err != nil {
			t.Error(err)
		}
		got <- p
	}()
	asked := func(u *up) bool { return len(u.Asks) == 1 }
	u := next(t, ups, "an ask", asked)
	say(f.id, down{Lease: 1, Ack: u.Seq, Granted: 1, Answers: []answer{{Ask: u.Asks[0].ID, N: 1}}})
	// It is given back, and asked for again.
	again := next(t, ups, "another ask", asked)
	if again.Asks[0].ID == u.Asks[0].ID {
		t.Error("the same ask again")
	}
	if len(again.Done) != 1 || again.Done[0].N != 1 || again.Done[0].Sent {
		t.Errorf("not given back: %+v", again.Done)
	}
	say(f.id, down{Lease: time.Minute.Microseconds(), Ack: again.Seq, Granted: 2, Answers: []answer{{Ask: again.Asks[0].ID, N: 2}}})
	(<-got).Done(0, true)
}

// The coordinator's side of the same: when its lease is over it decides nothing.
func TestNothingIsGrantedAfterTheLease(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := s.join("f")
	c := newCoordinator(f, &lease{epoch: 1, until: time.Now().Add(time.Hour), first: true}, time.Now())
	defer c.end()
	hello := &up{Epoch: 1, Seq: 1, State: &state{}, Asks: []ask{{ID: 1, Deployment: "d", Limits: limits{RPM: 60}}}}
	c.hear("m", hello)
	if got := c.members["m"].granted; got != 1 {
		t.Fatalf("granted %d of 1", got)
	}
	c.extend(time.Now())
	c.hear("m", &up{Epoch: 1, Seq: 2, Asks: []ask{{ID: 2, Deployment: "e", Limits: limits{RPM: 60}}}})
	c.extend(time.Now().Add(time.Hour).Round(0)) // as on a wall clock that went back
	c.end()
	c.hear("m", &up{Epoch: 1, Seq: 3, Asks: []ask{{ID: 3, Deployment: "e", Limits: limits{RPM: 60}}}})
	if got := c.members["m"].granted; got != 1 {
		t.Errorf("granted %d after the lease", got-1)
	}
	now := time.Now()
	if !reached(now, now.Round(0)) || !reached(now.Add(time.Hour).Round(0), now) || reached(now, now.Add(time.Second)) {
		t.Error("reached")
	}
}

// books returns a coordinator with ceilings that are stored at once.
func books(t *testing.T) (*coordinator, func(string, *up)) {
	s := serve(t)
	f := s.join("f")
	c := newCoordinator(f, &lease{epoch: 1, until: time.Now().Add(time.Hour), first: true}, time.Now())
	t.Cleanup(c.end)
	return c, func(from string, u *up) {
		u.Epoch = 1
		c.hear(from, u)
		c.raise(c.snapshot())
	}
}

func asks(parallel int, ids ...uint64) []ask {
	var list []ask
	for _, id := range ids {
		list = append(list, ask{ID: id, Deployment: "d", Limits: limits{Parallel: parallel}})
	}
	return list
}

// What gets lost on the way is found by what the members say they hold.
func TestBooksAreReconciled(t *testing.T) {
	t.Parallel()
	c, hear := books(t)
	hear("m", &up{Seq: 1, State: &state{}, Asks: asks(3, 1, 2, 3, 4)})
	inUse := func() int { return c.account("d").inUse }
	if inUse() != 3 || len(c.members["m"].asks) != 1 {
		t.Fatalf("%d in use, %d asks", inUse(), len(c.members["m"].asks))
	}
	// 1 is held, 2 was lost on the way, 3 may still be on its way.
	holds := holding{Deployment: "d", Limits: limits{Parallel: 3}, Permits: [][3]uint64{{1, 1, 0}}}
	hear("m", &up{Seq: 2, State: &state{Got: 2, Held: []holding{holds}, Waiting: []uint64{4, 5}}})
	if m := c.members["m"]; inUse() != 3 || m.granted != 4 || len(m.asks) != 0 {
		t.Errorf("%d in use, %d granted", inUse(), m.granted)
	}
	// All have come, and the word that 1 is done was lost; then it comes after all.
	hear("m", &up{Seq: 3, State: &state{Got: 4}})
	hear("m", &up{Seq: 4, Done: []done{{Epoch: 1, N: 1, Sent: true}, {Epoch: 1, N: 9, Sent: true}}})
	if inUse() != 0 {
		t.Errorf("%d in use", inUse())
	}
	// A member that was forgotten comes back with what it holds.
	c.mu.Lock()
	c.members["m"].heard = time.Now().Add(-ForgetAfter)
	c.mu.Unlock()
	c.sweep()
	if len(c.members) != 0 {
		t.Error("it is not forgotten")
	}
	hear("m", &up{Seq: 5, Asks: asks(3, 6)}) // is asked to say hello
	if inUse() != 0 {
		t.Error("a stranger was granted a permit")
	}
	hear("m", &up{Seq: 6, State: &state{Held: []holding{holds}}})
	if inUse() != 1 {
		t.Errorf("%d in use", inUse())
	}
	hear("m", &up{Seq: 7, Bye: true})
	if inUse() != 0 || len(c.members) != 0 {
		t.Errorf("%d in use, %d members", inUse(), len(c.members))
	}
}

// A permit is granted only when the record covers it, and the next coordinator
// counts who is silent at what the record allows.
func TestRecordCoversWhatIsGranted(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := s.join("f")
	l := &lease{epoch: 1, until: time.Now().Add(time.Hour), first: true}
	c := newCoordinator(f, l, time.Now())
	defer c.end()
	c.hear("m", &up{Epoch: 1, Seq: 1, State: &state{}, Asks: asks(16, 1, 2, 3)})
	if n := c.account("d").inUse; n != 0 {
		t.Fatalf("%d granted before the record was written", n)
	}
	record := c.snapshot()
	if len(record) != 1 || record[0].Most["d"] != 4 {
		t.Fatalf("%+v", record)
	}
	c.raise(record)
	if n := c.account("d").inUse; n != 3 {
		t.Fatalf("%d of 3 granted", n)
	}
	next := newCoordinator(f, &lease{epoch: 2, until: time.Now().Add(time.Hour), members: record}, time.Now())
	defer next.end()
	if n := next.account("d").inUse; n != 4 {
		t.Errorf("counts the silent member at %d", n)
	}
	next.hear("other", &up{Epoch: 2, Seq: 1, State: &state{}, Asks: asks(16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)})
	next.raise(next.snapshot())
	if n := next.members["other"].granted; n != 12 {
		t.Errorf("granted %d of the 12 that are left", n)
	}
	next.hear("m", &up{Epoch: 2, Seq: 9, State: &state{Held: []holding{{
		Deployment: "d", Limits: limits{Parallel: 16}, Permits: [][3]uint64{{1, 1, 0}, {1, 2, 0}},
	}}}})
	next.raise(next.snapshot())
	if n := next.members["other"].granted; n != 14 {
		t.Errorf("granted %d when the silent one holds 2", n)
	}
}
