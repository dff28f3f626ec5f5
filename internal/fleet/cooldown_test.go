package fleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hear returns what f's handler is told.
func hear(f *Fleet) <-chan Cooldown {
	heard := make(chan Cooldown, 16)
	f.OnCooldown(func(c Cooldown) { heard <- c })
	return heard
}

func wantHeard(t *testing.T, who string, heard <-chan Cooldown, want Cooldown) {
	t.Helper()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case got := <-heard:
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s hears (-want +got):\n%s", who, diff)
		}
	case <-timer.C:
		t.Fatalf("%s hears nothing of %+v", who, want)
	}
}

func TestCooldownsReachTheFleet(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a, b, c := s.join("a"), s.join("b"), s.join("c")
	own, heardB, heardC := hear(a), hear(b), hear(c)
	until := time.Now().Add(time.Hour).UTC().Truncate(0)
	first := Cooldown{Deployment: "d", Until: until, Reason: "rate_limited"}
	all := func(want Cooldown) {
		t.Helper()
		wantHeard(t, "b", heardB, want)
		wantHeard(t, "c", heardC, want)
	}
	a.Announce(first)
	all(first)

	a.Announce(Cooldown{Deployment: "d", Until: until.Add(-time.Minute), Reason: "earlier"}) // says nothing new
	later := Cooldown{Deployment: "d", Until: until.Add(time.Minute), Fatal: true, Reason: "later"}
	a.Announce(later)
	all(later)

	// One who joins late hears of it, before and after OnCooldown.
	late := s.join("late")
	eventually(t, "the late one knows", func() bool { return len(late.Cooldowns()) == 1 })
	wantHeard(t, "late", hear(late), later)

	// So does one who only meets a coordinator that has come after.
	epoch := b.Status().Epoch
	a.Close()
	eventually(t, "another coordinates", func() bool { return b.Status().Epoch > epoch && b.Status().Reachable })
	later2 := s.join("later")
	wantHeard(t, "later", hear(later2), later)

	well := Cooldown{Deployment: "d", Until: time.Now().Add(-time.Second).UTC().Truncate(0)}
	b.Announce(well)
	wantHeard(t, "c", heardC, well)
	if got := b.Cooldowns(); len(got) != 0 {
		t.Errorf("b still has %+v", got)
	}
	select {
	case got := <-own:
		t.Errorf("a hears what it said itself: %+v", got)
	default:
	}
}

// What was announced while the broker was away is told when it is back.
func TestCooldownOutlastsTheBroker(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a, b := s.join("a"), s.join("b")
	heard := hear(b)
	s.stop()
	want := Cooldown{Deployment: "d", Until: time.Now().Add(time.Hour).UTC().Truncate(0), Reason: "why"}
	a.Announce(want)
	s.start()
	wantHeard(t, "b", heard, want)
}

func TestMergeOfCooldowns(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) time.Time { return now.Add(d) }
	c := newCooldowns()
	for i, step := range []struct {
		said  time.Duration
		say   Cooldown
		news  bool
		until time.Time
		fatal bool
	}{
		{0, Cooldown{Until: at(-time.Second)}, false, time.Time{}, false},
		{1, Cooldown{Until: at(10)}, true, at(10), false},
		{2, Cooldown{Until: at(10)}, false, at(10), false},
		{3, Cooldown{Until: at(5), Fatal: true}, true, at(10), true},
		{4, Cooldown{Until: at(20)}, true, at(20), true},
		{5, Cooldown{Until: at(15), Fatal: true}, false, at(20), true},
		{2, Cooldown{Until: at(0)}, false, at(20), true}, // an end from before it began
		{6, Cooldown{Until: at(0)}, true, time.Time{}, false},
		{5, Cooldown{Until: at(30)}, false, time.Time{}, false}, // said before the end
		{7, Cooldown{Until: at(1)}, true, at(1), false},
	} {
		one := notice{Cooldown: step.say, At: at(step.said)}
		one.Deployment = "d"
		if got := c.merge(&one, now); got != step.news {
			t.Errorf("step %d: news %v", i, got)
		}
		list := c.present(now)
		if step.until.IsZero() {
			if len(list) != 0 {
				t.Errorf("step %d: %+v", i, list)
			}
			continue
		}
		if len(list) != 1 || !list[0].Until.Equal(step.until) || list[0].Fatal != step.fatal {
			t.Errorf("step %d: %+v", i, list)
		}
	}
	if list := c.present(at(time.Hour)); len(list) != 0 {
		t.Errorf("after an hour: %+v", list)
	}
}

// Who missed an end hears of it with the next beat, and does not bring the
// cooldown back.
func TestEndOfCooldownIsNotMissed(t *testing.T) {
	now := time.Now()
	old := notice{Cooldown: Cooldown{Deployment: "d", Until: now.Add(time.Hour)}, At: now}
	end := notice{Cooldown: Cooldown{Deployment: "d", Until: now}, At: now.Add(1)}
	informed, other := newCooldowns(), newCooldowns()
	for _, c := range []*cooldowns{informed, other} {
		one := old
		c.merge(&one, now)
	}
	informed.merge(&end, now)
	tell := informed.unknownTo(other.present(now), now)
	informed.hearAll(other.present(now), nil)
	other.hearAll(tell, nil)
	if a, b := informed.present(now), other.present(now); len(a)+len(b) != 0 {
		t.Errorf("%+v, %+v", a, b)
	}
}
