package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"pelton/internal/benchmark"
)

// benchreport FILE checks what bench --json has written: all
// figures are there, and the upstream had one call for each answer.
func benchreport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: benchreport FILE")
	}
	var r benchmark.Report
	in := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	in.DisallowUnknownFields()
	ts.Check(in.Decode(&r))
	if r.At.IsZero() || r.Machine.Cores < 1 || r.Machine.Go == "" || r.Rounds != 2 || len(r.Cells) != 4 || len(r.Idle) != 2 || len(r.Cancels) != 2 || r.Startup == nil {
		ts.Fatalf("something is missing: %+v", r)
	}
	for _, c := range r.Cells {
		if c.InFlight != 4 || c.Requests != 20 || len(c.Programs) != 4 {
			ts.Fatalf("another cell than was asked for: %+v", c)
		}
		for i, p := range c.Programs {
			figures := []float64{p.Rate.Low, p.Ratio.Low, p.RatioTyped.Low, p.Allocs, p.Bytes, p.CPU, p.CPURatio, p.Upstream}
			if c.Jobs > 1 {
				figures = append(figures, p.JobMedian, p.JobSlowest)
			}
			for k, x := range figures {
				if x <= 0 && k < 5 || x < 0 { // a clock of the system may not have moved
					ts.Fatalf("%s: figure %d is %g: %+v", p.Name, k, x, p)
				}
			}
			if p.Rate.Low > p.Rate.Median || p.Rate.Median > p.Rate.High || p.JobMedian > p.JobSlowest {
				ts.Fatalf("%s: not in order: %+v", p.Name, p)
			}
			if p.Calls != 40 || p.Answers != 40 {
				ts.Fatalf("%s: %d calls for %d answers, want 40", p.Name, p.Calls, p.Answers)
			}
			if want := []string{"net/http", "go-openai", "pelton", "pelton, NATS process"}[i]; p.Name != want {
				ts.Fatalf("program %d is %s, want %s", i, p.Name, want)
			}
		}
	}
	for _, one := range r.Idle {
		if one.Jobs != 5 || one.JobP50 <= 0 || one.JobP99 < one.JobP50 || one.CallP50 <= 0 || one.AddedP50 != one.JobP50-one.CallP50 {
			ts.Fatalf("idle: %+v", one)
		}
	}
	for _, one := range r.Cancels {
		if one.Times != 1 || one.InFlight != 256 || one.Waiting != 20 || one.Aborted.Median <= 0 || one.Ended.Median <= 0 {
			ts.Fatalf("cancels: %+v", one)
		}
	}
	if s := r.Startup; s.FirstCall.Low <= 0 || s.Whole.Low <= s.FirstCall.Low || s.Help.Low <= 0 {
		ts.Fatalf("startup: %+v", s)
	}
}

// notemp PATTERN fails when a temporary file of such a name is left.
func notemp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: notemp PATTERN")
	}
	left, err := filepath.Glob(filepath.Join(ts.Getenv("TMPDIR"), args[0]))
	ts.Check(err)
	if ts.Getenv("TMPDIR") == "" || len(left) > 0 {
		ts.Fatalf("left in %q: %v", ts.Getenv("TMPDIR"), left)
	}
}

// streams URL PATTERN checks the names of all streams of a server.
func streams(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: streams URL PATTERN")
	}
	nc, err := nats.Connect(args[0])
	ts.Check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	list, n := js.StreamNames(ctx), 0
	for name := range list.Name() {
		n++
		if !regexp.MustCompile("^(" + args[1] + ")").MatchString(name) {
			ts.Fatalf("stream %s", name)
		}
	}
	ts.Check(list.Err())
	if n == 0 {
		ts.Fatalf("no streams at all")
	}
}
