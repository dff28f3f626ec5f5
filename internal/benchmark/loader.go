package benchmark

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sync/errgroup"
)

// loader is the part of a program that is measured.
type loader struct {
	load  Load
	setup Setup
	next  int // index of the next request: none is made twice
	cpu   *os.File
}

// memRate samples an allocation per this many bytes when there is to be a
// profile of them: most are small.
const memRate = 4 << 10

func newLoader(s Setup, load Load) (*loader, error) {
	l := &loader{load: load, setup: s}
	if s.MemProfile != "" {
		runtime.MemProfileRate = memRate
	}
	if s.CPUProfile != "" {
		file, err := os.Create(s.CPUProfile)
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			load.Close()
			return nil, err
		}
		l.cpu = file
	}
	return l, nil
}

func (l *loader) url() string { return "" }

func (l *loader) close() {
	if l.cpu != nil {
		pprof.StopCPUProfile()
		_ = l.cpu.Close()
	}
	if name := l.setup.MemProfile; name != "" {
		if file, err := os.Create(name); err == nil {
			_ = pprof.Lookup("allocs").WriteTo(file, 0)
			_ = file.Close()
		}
	}
	l.load.Close()
}

func (l *loader) do(ctx context.Context, t task) (answer, error) {
	switch t.Do {
	case doRun:
		return l.run(ctx, t)
	case doIdle:
		return l.idle(ctx, t.Requests)
	case doBegin, doCancel:
		return l.cancel(ctx, t)
	}
	return answer{}, fmt.Errorf("%s: no such task", t.Do)
}

// run makes the requests of a round.
func (l *loader) run(ctx context.Context, t task) (answer, error) {
	runtime.GC() // what an earlier round left is not this one's to clear away
	a := answer{Ends: make([]float64, t.Jobs)}
	before, start := used(), time.Now()
	group, running := errgroup.WithContext(ctx)
	each := t.Requests / t.Jobs
	for job := range t.Jobs {
		mine := Requests{l.next, each}
		l.next += each
		group.Go(func() error {
			err := l.one(running, mine)
			a.Ends[job] = time.Since(start).Seconds()
			return err
		})
	}
	err := group.Wait()
	a.Seconds, a.Used = time.Since(start).Seconds(), used().since(before)
	if err != nil {
		return a, err
	}
	return a, l.load.Tidy(ctx)
}

// cancel begins a job, or ends it.
func (l *loader) cancel(ctx context.Context, t task) (answer, error) {
	load, ok := l.load.(Canceller)
	if !ok {
		return answer{}, fmt.Errorf("%s: not for %s", t.Do, l.setup.Role)
	}
	if t.Do == doBegin {
		list := Requests{l.next, t.Requests}
		l.next += t.Requests
		return answer{}, load.Begin(ctx, list)
	}
	start := time.Now()
	if err := load.Cancel(ctx); err != nil {
		return answer{}, err
	}
	a := answer{At: start, Seconds: time.Since(start).Seconds()}
	return a, l.load.Tidy(ctx)
}

// one makes the requests of one job and checks the answers.
func (l *loader) one(ctx context.Context, requests Requests) error {
	check := checker{want: requests}
	if err := l.load.Run(ctx, requests, check.take); err != nil {
		return err
	}
	return check.done()
}

// warmup is how many of the first jobs and calls are not counted.
const warmup = 20

// idle makes jobs of one request one after the other, each followed by the bare
// call that it is compared with.
func (l *loader) idle(ctx context.Context, n int) (a answer, err error) {
	bare := newPlain(l.setup.Upstream, 1)
	defer bare.Close()
	for i := range warmup + n {
		one := Requests{l.next, 1}
		l.next++
		start := time.Now()
		if err := l.one(ctx, one); err != nil {
			return a, err
		}
		job := time.Since(start)
		start = time.Now()
		if _, err := bare.call(ctx, appendBody(nil, one.First)); err != nil {
			return a, err
		}
		call := time.Since(start)
		if i >= warmup {
			a.Jobs, a.Calls = append(a.Jobs, job.Seconds()), append(a.Calls, call.Seconds())
		}
	}
	return a, l.load.Tidy(ctx)
}
