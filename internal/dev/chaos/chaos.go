package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say how much chaos there is to be.
type Options struct {
	Seed     uint64
	Faults   int           // at least so many
	Requests int           // and at least so many requests
	PerRound int           // faults of a round
	Limit    time.Duration // no round begins after that
	Binary   string        // the pelton that is tried
	Dir      string        // for stores, logs and evidence; kept where a promise was broken
	Out      io.Writer     // where the course of events is told

	// Round, when not negative, is the only round to run.
	Round int

	// Shape and Steps, when Steps is not nil, are what every round is, in place
	// of a plan drawn from the seed.
	Shape Shape
	Steps []Step
}

// Report is what a run of the harness found.
type Report struct {
	Seed    uint64        `json:"seed"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took_ns"`
	Rounds  []RoundReport `json:"rounds"`
	Verdict               // of all rounds together
}

// RoundReport is one round's part of it.
type RoundReport struct {
	Round int           `json:"round"`
	Shape string        `json:"shape"`
	Took  time.Duration `json:"took_ns"`
	Verdict
}

// Run runs rounds until there were enough faults and requests. An error means
// that the harness could not do its work; broken promises are in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	rep := &Report{Seed: o.Seed, Began: time.Now(), Verdict: *newVerdict()}
	for n := max(0, o.Round); ; n++ {
		shape, steps := Plan(o.Seed, n, o.PerRound)
		if o.Steps != nil {
			shape, steps = o.Shape, o.Steps
		}
		fmt.Fprintln(o.Out, describePlan(n, shape, steps))
		one, err := o.round(ctx, n, shape, steps)
		if err != nil {
			return rep, fmt.Errorf("round %d: %w", n, err)
		}
		rep.Rounds = append(rep.Rounds, *one)
		rep.add(&one.Verdict)
		rep.Took = time.Since(rep.Began)
		fmt.Fprintf(o.Out, "round %d: %d jobs, %d requests, %d calls (%d counted retries, %d beyond), %d faults, %d violations, %.0f s\n",
			n, one.Jobs, one.Requests, one.Calls, one.Retries, sum(one.Extra), one.Faults(), len(one.Violations), one.Took.Seconds())
		for i, v := range one.Violations {
			if i == 20 {
				fmt.Fprintf(o.Out, "  and %d more\n", len(one.Violations)-i)
				break
			}
			fmt.Fprintf(o.Out, "  VIOLATION: %s: %s: %s\n", v.Breach, v.Where, v.Text)
		}
		enough := rep.Faults() >= o.Faults && rep.Requests >= o.Requests
		if enough || o.Round >= 0 || rep.Took > o.Limit || ctx.Err() != nil {
			return rep, ctx.Err()
		}
	}
}

// Times of a round beyond its faults.
const (
	endsWithin = 2 * time.Minute // all jobs and readers, once everything is healed
	calm       = 2 * time.Second // of jobs without a fault, before the first and after the last
)

// round runs and audits one round.
func (o *Options) round(ctx context.Context, n int, shape Shape, steps []Step) (rep *RoundReport, err error) {
	dir := filepath.Join(o.Dir, fmt.Sprintf("round-%d", n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	began := time.Now()
	r := &round{
		n: n, seed: o.Seed, shape: shape, binary: o.Binary, dir: dir, timeout: 5,
		say: func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) },
	}
	closed := false
	defer func() {
		if !closed {
			_ = r.close()
		}
	}()
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	hard, kill := context.WithCancel(ctx)
	defer kill()
	soft, stop := context.WithCancel(hard)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		r.load(soft, hard)
	}()
	rest(ctx, calm)
	r.inject(ctx, steps)
	rest(ctx, calm)
	stop()
	late := time.AfterFunc(endsWithin, kill)
	<-loaded
	for _, d := range r.live {
		<-d.done
	}
	late.Stop()
	kill()
	e, err := r.evidence(ctx)
	if err != nil {
		return nil, fmt.Errorf("gather the evidence: %w", err)
	}
	closed = true
	if err := r.close(); err != nil {
		return nil, err
	}
	e.Calls = callsOf(r.llm)
	rep = &RoundReport{Round: n, Shape: shape.String(), Took: time.Since(began), Verdict: *Audit(e)}
	if len(rep.Violations) == 0 {
		return rep, os.RemoveAll(dir)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return rep, os.WriteFile(filepath.Join(dir, "evidence.json"), data, 0o600)
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) {
	line := func(name string, format string, args ...any) {
		fmt.Fprintf(w, "  %-46s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "\nseed %d, %d rounds, %.0f s\n\n", r.Seed, len(r.Rounds), r.Took.Seconds())
	fmt.Fprintf(w, "faults\n")
	for _, k := range kinds() {
		if n := r.Injected[k]; n > 0 {
			line(string(k), "%6d", n)
		}
	}
	line("all", "%6d", r.Faults())
	fmt.Fprintf(w, "\njobs %d\n", r.Jobs)
	for _, s := range sorted(r.States) {
		line(string(s), "%6d", r.States[s])
	}
	fmt.Fprintf(w, "\nrequests %d\n", r.Requests)
	for _, s := range sorted(r.Results) {
		line(string(s), "%6d", r.Results[s])
	}
	line("not started (cancel, fail-fast)", "%6d", r.Requests-sum(r.Results))
	fmt.Fprintf(w, "\ncalls %d\n", r.Calls)
	line("counted retries", "%6d", r.Retries)
	line("beyond them", "%6d", sum(r.Extra))
	for _, k := range kinds() {
		if n := r.Extra[k]; n > 0 {
			line("  by "+string(k), "%6d", n)
		}
	}
	line("begun over a bound, beside calls left open", "%6d", r.Over)
	fmt.Fprintf(w, "\ntokens billed %d\n", r.Billed)
	line("reported by results", "%6d", r.Reported)
	line("billed for attempts listed as unknown", "%6d", r.Unknown)
	fmt.Fprintf(w, "\nreadings %d\n", r.Readings)
	fmt.Fprintf(w, "\nviolations %d\n", len(r.Violations))
	found := map[Breach]int{}
	for _, v := range r.Violations {
		found[v.Breach]++
	}
	for _, b := range sorted(found) {
		line(string(b), "%6d", found[b])
	}
}

// kinds are all faults in the order of their constants.
func kinds() []Kind {
	return []Kind{
		KillWorker, KillOwner, KillEmbedded, KillServer, KillReader, StopReader, PauseWorker, PauseOwner, PauseEmbedded,
		DrainWorker, CutShort, CutLong, CutSilent, SlowDisk, FullStore, UpstreamHangs, UpstreamErrors,
	}
}

// Failed says in one line what is wrong with a run, and is empty for a good one.
func (r *Report) Failed(o Options) string {
	var why []string
	if n := len(r.Violations); n > 0 {
		why = append(why, fmt.Sprintf("%d promises broken; the evidence is in %s", n, o.Dir))
	}
	if r.Faults() < o.Faults {
		why = append(why, fmt.Sprintf("only %d faults of %d", r.Faults(), o.Faults))
	}
	if r.Requests < o.Requests {
		why = append(why, fmt.Sprintf("only %d requests of %d", r.Requests, o.Requests))
	}
	return strings.Join(why, "; ")
}
