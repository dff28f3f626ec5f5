//go:build unix

package fleet

import (
	"syscall"
	"testing"
	"time"

	"pelton/router"
)

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

const crashRPM, crashParallel = 6000, 9

func crashRole(s *server, name string) role {
	return role{
		NATS: s.url, Name: name, Callers: 4, Call: 30 * time.Millisecond,
		Limits: router.Limits{RPM: crashRPM, MaxParallel: crashParallel},
	}
}

// three starts three workers in processes of their own, the first of which
// coordinates.
func three(t *testing.T) (s *server, rec *recorder, workers map[string]*process) {
	t.Helper()
	s, rec = serve(t), newRecorder()
	workers = map[string]*process{}
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		workers[name] = start(t, rec, crashRole(s, name))
	}
	rec.wait(t, 60, begin, "a")
	rec.wait(t, 60, begin, "b")
	rec.wait(t, 60, begin, "c")
	return s, rec, workers
}

func TestCoordinatorKilledAndAnotherJoins(t *testing.T) {
	t.Parallel()
	s, rec, workers := three(t)
	workers["a"].kill()
	killed := time.Now()
	start(t, rec, crashRole(s, "d"))
	rec.wait(t, 60, killed, "b")
	rec.wait(t, 60, killed, "c")
	rec.wait(t, 60, killed, "d")
	for _, p := range workers {
		p.kill()
	}
	rec.checkRate(t, crashRPM)
	rec.checkPeak(t, crashParallel)
	for _, span := range rec.all() {
		if span.begin.After(killed) {
			if gap := span.begin.Sub(killed); gap > 2*LeaseTerm {
				t.Errorf("the next call came %v after the coordinator's death", gap)
			}
			break
		}
	}
}

// The coordinator stands still for longer than its lease. When it goes on it
// must not grant what another has been granting since.
func TestCoordinatorPaused(t *testing.T) {
	t.Parallel()
	s, rec, workers := three(t)
	watcher := s.join("watcher") // makes no calls, but may come to coordinate
	eventually(t, "the watcher knows the coordinator", func() bool { return watcher.Status().Coordinator == "a" })
	epoch := watcher.Status().Epoch
	workers["a"].signal(syscall.SIGSTOP)
	paused := time.Now()
	eventually(t, "another takes over", func() bool { return watcher.Status().Epoch > epoch })
	// Soon enough for the paused one's permits to be kept for it.
	rec.wait(t, 20, paused, "b")
	rec.wait(t, 20, paused, "c")
	epoch = watcher.Status().Epoch
	workers["a"].signal(syscall.SIGCONT)
	resumed := time.Now()
	rec.wait(t, 60, resumed, "a")
	rec.wait(t, 60, resumed, "b")
	rec.wait(t, 60, resumed, "c")
	if st := watcher.Status(); st.Epoch != epoch || st.Coordinator == "a" {
		t.Errorf("the one that was paused has the lease again: %+v", st)
	}
	for _, p := range workers {
		p.kill()
	}
	rec.checkRate(t, crashRPM)
	rec.checkPeak(t, crashParallel) // the calls of the paused one were counted all the time
}

// A worker dies with all permits in its hands. Others get them when it has been
// silent for ForgetAfter, and not before.
func TestMemberKilled(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	f := s.join("f")
	limits := router.Limits{MaxParallel: 2}
	begin := time.Now()
	dead := start(t, rec, role{NATS: s.url, Name: "dead", Limits: limits, Callers: 5, Call: time.Hour})
	rec.wait(t, 2, begin)
	dead.kill()
	killed := time.Now()
	for range 2 {
		p, err := f.Wait(t.Context(), "d", limits, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Done(0, true)
	}
	if after := time.Since(killed); after < ForgetAfter-2*beatEvery {
		t.Errorf("the permits of the dead were given away after %v", after)
	}
	// Those it waited for have not gone to it.
	st := f.Status()
	if len(st.Members) != 1 || st.Members[0].Held["d"] != 2 {
		t.Errorf("%+v", st.Members)
	}
}

// What a worker waited for when it died does not eat the rate of the others.
func TestDeadWorkersAsksAreDropped(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	f := s.join("f")
	limits := router.Limits{RPM: 600}
	begin := time.Now()
	dead := start(t, rec, role{NATS: s.url, Name: "dead", Limits: limits, Callers: 200, Call: time.Hour})
	rec.wait(t, 6, begin)
	dead.kill()
	killed := time.Now()
	p, err := f.Wait(t.Context(), "d", limits, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Done(0, true)
	if after := time.Since(killed); after > 5*time.Second { // 200 asks before it are worth 20 s
		t.Errorf("waited %v behind a dead worker", after)
	}
}

// The coordinator dies with permits in its own hands, which only the lease's
// record tells of.
func TestCoordinatorKilledWithPermits(t *testing.T) {
	t.Parallel()
	s, rec := serve(t), newRecorder()
	limits := router.Limits{MaxParallel: 3}
	begin := time.Now()
	dead := start(t, rec, role{NATS: s.url, Name: "dead", Limits: limits, Callers: 2, Call: time.Hour})
	rec.wait(t, 2, begin)
	f := s.join("f")
	own, err := f.Wait(t.Context(), "d", limits, 0)
	if err != nil {
		t.Fatal(err)
	}
	dead.kill()
	own.Done(0, true)
	killed := time.Now()
	for i := range 3 {
		p, err := f.Wait(t.Context(), "d", limits, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Done(0, true)
		if after := time.Since(killed); i == 1 && after < ForgetAfter-2*beatEvery {
			t.Errorf("a permit of the dead coordinator was given away after %v", after)
		}
	}
}
