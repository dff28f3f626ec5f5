//go:build slow

package chaos

import (
	"context"
	"os"
	"testing"
	"time"
)

// try runs the harness for a test.
func try(t *testing.T, o Options, flags ...string) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	var err error
	if o.Binary, err = Build(ctx, "../../..", t.TempDir(), flags...); err != nil {
		t.Fatal(err)
	}
	o.Out = t.Output()
	rep, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	rep.Write(t.Output())
	return rep
}

// The short form of `make chaos`: a round with an embedded server, and one with
// a server of its own.
func TestChaos(t *testing.T) {
	o := Options{Seed: 4, Faults: 24, PerRound: 12, Limit: 2 * time.Minute, Round: -1}
	var err error
	if o.Dir, err = os.MkdirTemp("", "pelton-chaos-*"); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(o.Dir) // stays where evidence is left in it
	rep := try(t, o)
	if len(rep.Violations) > 0 {
		t.Logf("the evidence is in %s", o.Dir)
	}
	for _, v := range rep.Violations {
		t.Errorf("%s: %s: %s", v.Breach, v.Where, v.Text)
	}
	if rep.Faults() < o.Faults || rep.Requests < 1000 {
		t.Errorf("%d faults over %d requests", rep.Faults(), rep.Requests)
	}
}

// The harness can fail: a build that stores results without the expected last
// sequence lets a worker that was cut off overwrite, with the answers it kept,
// what another has stored meanwhile.
func TestUnsafeBuildIsCaught(t *testing.T) {
	var steps []Step
	for i := range 3 {
		steps = append(steps, Step{After: 4 * time.Second, Kind: CutLong, For: 9 * time.Second, Pick: uint64(i)})
	}
	rep := try(t, Options{Dir: t.TempDir(), Seed: 4, Limit: time.Minute, Shape: Shape{Workers: 3}, Steps: steps, Round: 1},
		"-tags", "pelton_harness", "-ldflags", "-X pelton/jobs/store/internal/jet.harness=unsafe")
	for _, v := range rep.Violations {
		switch v.Breach {
		case ResultTwice, ResultReplaced:
			return
		}
	}
	t.Errorf("nobody noticed that results were overwritten: %+v", rep.Violations)
}
