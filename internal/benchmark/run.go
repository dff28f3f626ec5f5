package benchmark

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nuid"
)

// run is a measurement under way.
type run struct {
	*Options
	dir    string // for what the processes store
	model  *process
	nats   *process // of ours; nil: none is needed
	stores int      // made so far
}

// Run measures. The end of ctx ends it; the processes it has started are gone
// when it returns, and so is all they have stored.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &run{Options: &o}
	if r.dir, err = os.MkdirTemp("", "pelton-bench-*"); err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(r.dir) }()
	if r.model, err = o.start(ctx, "the upstream", Setup{Role: roleUpstream}); err != nil {
		return nil, err
	}
	defer r.model.close()
	if r.nats, err = r.startNATS(ctx); err != nil {
		return nil, err
	}
	if r.nats != nil {
		defer r.nats.close()
	}
	report = &Report{At: time.Now().UTC().Truncate(time.Second), Machine: machine(), Rounds: o.Rounds, Cells: o.cells()}
	if err := r.startup(ctx, report); err != nil {
		return nil, err
	}
	if err := r.idle(ctx, report); err != nil {
		return nil, err
	}
	if err := r.cancels(ctx, report); err != nil {
		return nil, err
	}
	if err := r.files(ctx, report); err != nil {
		return nil, err
	}
	for i := range report.Cells {
		cell := &report.Cells[i]
		r.Say(fmt.Sprintf("%d of %d: %s", i+1, len(report.Cells), cell))
		if err := r.measure(ctx, cell); err != nil {
			return nil, fmt.Errorf("%s: %w", cell, err)
		}
	}
	return report, nil
}

// String names the setting.
func (c *Cell) String() string {
	text := fmt.Sprintf("%d in flight, latency %s, %d requests", c.InFlight, time.Duration(c.Latency), c.Requests)
	if c.Jobs > 1 {
		text += fmt.Sprintf(" in %d jobs", c.Jobs)
	}
	return text
}

func machine() Machine {
	return Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuName(), Cores: runtime.NumCPU(), Go: runtime.Version()}
}

// cpuName is what Linux calls the processor; empty elsewhere.
func cpuName() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// startNATS starts the NATS server in a process of its own, where one is asked for.
func (r *run) startNATS(ctx context.Context) (*process, error) {
	if !slices.Contains(r.NATS, Apart) {
		return nil, nil
	}
	return r.start(ctx, "the NATS server", Setup{Role: roleNATS, Dir: r.store()})
}

// store is a new directory.
func (r *run) store() string {
	r.stores++
	return filepath.Join(r.dir, fmt.Sprint("store-", r.stores))
}

// open starts the process of a program.
func (r *run) open(ctx context.Context, p program, inFlight, jobs int) (*process, error) {
	s := p.setup
	s.Upstream, s.InFlight, s.Jobs = r.model.url, inFlight, jobs
	if p.pelton() {
		// A prefix of its own keeps it apart from a service on the same server.
		s.Dir, s.Prefix = r.store(), "bench"+nuid.Next()
		s.CPUProfile, s.MemProfile = r.CPUProfile, r.MemProfile
		switch p.where {
		case Embedded:
		case Apart:
			s.NATS = r.nats.url
		default:
			s.NATS = p.where
		}
	}
	if p.against {
		s.CPUProfile, s.MemProfile = "", ""
		return r.startBy(ctx, r.against, p.name, s)
	}
	return r.start(ctx, p.name, s)
}

// measure fills a cell.
func (r *run) measure(ctx context.Context, cell *Cell) error {
	if _, err := r.model.ask(ctx, task{Do: doLatency, Latency: time.Duration(cell.Latency)}); err != nil {
		return err
	}
	programs := r.programs()
	samples := make([][]sample, len(programs))
	processes := make([]*process, len(programs))
	for i, p := range programs {
		var err error
		if processes[i], err = r.open(ctx, p, cell.InFlight, cell.Jobs); err != nil {
			return err
		}
		defer processes[i].close()
		// Connections are made, buffers have grown: that is not measured.
		warm := min(cell.Requests, 2*cell.InFlight) / cell.Jobs
		if _, err := r.sample(ctx, p, processes[i], cell, max(1, warm)*cell.Jobs); err != nil {
			return err
		}
	}
	order := make([]int, len(programs))
	for i := range order {
		order[i] = i
	}
	for round := range r.Rounds {
		for _, i := range rotated(order, round) {
			s, err := r.sample(ctx, programs[i], processes[i], cell, cell.Requests)
			if err != nil {
				return err
			}
			samples[i] = append(samples[i], s)
		}
	}
	for i, p := range programs {
		cell.Programs = append(cell.Programs, cell.program(p.name, samples[i], samples[0], samples[1]))
	}
	return nil
}

// sample is one round of one program.
func (r *run) sample(ctx context.Context, of program, p *process, cell *Cell, requests int) (s sample, err error) {
	var nats *process // that it uses
	if of.where == Apart {
		nats = r.nats
	}
	ask := func(p *process) (a answer) {
		if p != nil && err == nil {
			a, err = p.ask(ctx, task{Do: doUsage})
		}
		return a
	}
	modelBefore, natsBefore := ask(r.model), ask(nats)
	if err != nil {
		return s, err
	}
	a, err := p.ask(ctx, task{Do: doRun, Requests: requests, Jobs: cell.Jobs})
	modelAfter, natsAfter := ask(r.model), ask(nats)
	return sample{
		seconds: a.Seconds, used: a.Used, ends: a.Ends,
		model: modelAfter.Used.CPU - modelBefore.Used.CPU, nats: natsAfter.Used.CPU - natsBefore.Used.CPU,
		calls: modelAfter.Count - modelBefore.Count,
	}, err
}

// idle measures jobs of one request.
func (r *run) idle(ctx context.Context, report *Report) error {
	if r.Idle == 0 {
		return nil
	}
	if _, err := r.model.ask(ctx, task{Do: doLatency}); err != nil {
		return err
	}
	for _, p := range r.programs() {
		if !p.pelton() {
			continue
		}
		r.Say(fmt.Sprintf("%s: %d jobs of one request", p.name, r.Idle))
		one, err := r.idleOf(ctx, p)
		if err != nil {
			return err
		}
		report.Idle = append(report.Idle, one)
	}
	return nil
}

func (r *run) idleOf(ctx context.Context, p program) (Idle, error) {
	p.setup.CPUProfile, p.setup.MemProfile = "", ""
	process, err := r.open(ctx, p, 8, 1)
	if err != nil {
		return Idle{}, err
	}
	defer process.close()
	a, err := process.ask(ctx, task{Do: doIdle, Requests: r.Idle})
	if err != nil {
		return Idle{}, err
	}
	ms := func(list []float64, q float64) float64 { return 1e3 * quantile(list, q) }
	one := Idle{
		Name: p.name, Jobs: r.Idle,
		JobP50: ms(a.Jobs, 0.5), JobP99: ms(a.Jobs, 0.99), CallP50: ms(a.Calls, 0.5), CallP99: ms(a.Calls, 0.99),
	}
	one.AddedP50, one.AddedP99 = one.JobP50-one.CallP50, one.JobP99-one.CallP99
	return one, nil
}
