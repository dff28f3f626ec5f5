package benchmark

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// FileRuns is one setting from file to file: whole processes, from their start to
// their end, that read the same file of requests and write a file of answers in
// the order of the requests.
type FileRuns struct {
	InFlight int       `json:"in_flight"`
	Latency  Duration  `json:"latency"`
	Requests int       `json:"requests"`
	Programs []FileRun `json:"programs"`
}

// FileRun is what one program took. The most of memory holds that of the measuring
// process, some 30 MiB, where the system counts it to those it starts.
type FileRun struct {
	Name    string  `json:"name"`
	Seconds Spread  `json:"seconds"`            // of the whole process
	Ratio   Spread  `json:"ratio"`              // of the rate, to the plain program in the same round
	Above   Spread  `json:"above_ms"`           // the time above that of the plain program in the same round
	CPU     float64 `json:"cpu_us_per_request"` // microseconds; the median
	Peak    int64   `json:"peak_memory_bytes"`  // the most in all rounds; 0: the system does not tell
	Answers int     `json:"answers"`            // in all rounds; each was checked to be its request's own
}

// FileSetting is a setting to measure from file to file.
type FileSetting struct {
	InFlight int
	Latency  time.Duration
	Requests int
}

// fileProgram is one of those that go from file to file.
type fileProgram struct {
	name    string
	command func(ctx context.Context, s FileSetting, in, out string) *exec.Cmd
}

// PlainCommand is the hidden verb that plays the plain program: its arguments are
// those of [PlainFiles].
const PlainCommand = "bench-plain"

// filePrograms are the plain program, this build and the one to stand beside.
func (r *run) filePrograms() []fileProgram {
	pelton := func(command func(context.Context, ...string) *exec.Cmd) func(context.Context, FileSetting, string, string) *exec.Cmd {
		return func(ctx context.Context, s FileSetting, in, out string) *exec.Cmd {
			return r.runOf(ctx, command, "--concurrency", strconv.Itoa(s.InFlight), in, "-o", out)
		}
	}
	list := []fileProgram{
		{NetHTTP, func(ctx context.Context, s FileSetting, in, out string) *exec.Cmd {
			return r.Command(ctx, PlainCommand, in, out, r.model.url, strconv.Itoa(s.InFlight))
		}},
		{"pelton run", pelton(r.Command)},
	}
	if r.Against != "" {
		list = append(list, fileProgram{"against " + filepath.Base(r.Against), pelton(r.against)})
	}
	return list
}

// against makes a process of the build to stand beside.
func (o *Options) against(ctx context.Context, args ...string) *exec.Cmd {
	if len(args) == 0 {
		args = []string{"bench-part"}
	}
	return exec.CommandContext(ctx, o.Against, args...)
}

// files measures all settings from file to file.
func (r *run) files(ctx context.Context, report *Report) error {
	for i, s := range r.Files {
		cell := FileRuns{InFlight: s.InFlight, Latency: Duration(s.Latency), Requests: s.Requests}
		r.Say(fmt.Sprintf("%d of %d: file to file, %d in flight, latency %s, %d requests", i+1, len(r.Files), s.InFlight, s.Latency, s.Requests))
		if err := r.fileCell(ctx, s, &cell); err != nil {
			return err
		}
		report.Files = append(report.Files, cell)
	}
	return nil
}

func (r *run) fileCell(ctx context.Context, s FileSetting, cell *FileRuns) error {
	if _, err := r.model.ask(ctx, task{Do: doLatency, Latency: s.Latency}); err != nil {
		return err
	}
	in := filepath.Join(r.dir, "requests.jsonl")
	if err := writeRequests(in, s.Requests); err != nil {
		return err
	}
	programs := r.filePrograms()
	samples := make([][]fileSample, len(programs))
	order := make([]int, len(programs))
	for i := range order {
		order[i] = i
	}
	for round := range r.Rounds {
		for _, i := range rotated(order, round) {
			one, err := r.fileRun(ctx, programs[i], s, in)
			if err != nil {
				return fmt.Errorf("%s: %w", programs[i].name, err)
			}
			samples[i] = append(samples[i], one)
		}
	}
	for i, p := range programs {
		cell.Programs = append(cell.Programs, fileFigures(p.name, s.Requests, samples[i], samples[0]))
	}
	return os.Remove(in)
}

// fileSample is one whole process.
type fileSample struct {
	seconds, cpu float64
	peak         int64
}

func (r *run) fileRun(ctx context.Context, p fileProgram, s FileSetting, in string) (fileSample, error) {
	out := filepath.Join(r.dir, "answers.jsonl")
	defer os.Remove(out)
	cmd := p.command(ctx, s, in, out)
	start := time.Now()
	if _, err := output(cmd); err != nil {
		return fileSample{}, err
	}
	one := fileSample{seconds: time.Since(start).Seconds()}
	one.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	one.peak = childPeak(cmd.ProcessState)
	return one, checkAnswers(out, s.Requests)
}

func fileFigures(name string, requests int, own, plain []fileSample) FileRun {
	seconds, ratios, above, cpu := make([]float64, len(own)), make([]float64, len(own)), make([]float64, len(own)), make([]float64, len(own))
	f := FileRun{Name: name, Answers: requests * len(own)}
	for i, s := range own {
		seconds[i], ratios[i], above[i] = s.seconds, plain[i].seconds/s.seconds, 1e3*(s.seconds-plain[i].seconds)
		cpu[i] = 1e6 * s.cpu / float64(requests)
		f.Peak = max(f.Peak, s.peak)
	}
	f.Seconds, f.Ratio, f.Above, f.CPU = spread(seconds), spread(ratios), spread(above), median(cpu)
	return f
}

func writeRequests(path string, n int) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, Requests{0, n}.Lines())
	return errors.Join(err, file.Close())
}

// checkAnswers reads what a program has written: one line for each request, in order.
func checkAnswers(path string, n int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	check := checker{want: Requests{0, n}}
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return check.done()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := check.take(line); err != nil {
			return err
		}
	}
}

// PlainFiles is the program that a user would write who needs no queue: it reads
// requests from a file of JSON Lines, calls as many at once as are given, and
// writes the answers into another file in the order of the requests, as they come.
func PlainFiles(ctx context.Context, in, out, upstream string, inFlight int) (err error) {
	source, err := os.Open(in)
	if err != nil {
		return err
	}
	defer source.Close()
	sink, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	program := newPlain(upstream, inFlight)
	defer program.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pending := make(chan chan []byte, plainWindow)
	go func() {
		defer close(pending)
		program.feed(ctx, cancel, source, pending)
	}()
	buffered := bufio.NewWriterSize(sink, 256<<10)
	index := 0
	for one := range pending {
		select {
		case body := <-one:
			_, _ = fmt.Fprintf(buffered, "{\"index\":%d,\"body\":", index)
			_, _ = buffered.Write(bytes.TrimSpace(body))
			_, _ = buffered.WriteString("}\n")
			index++
		case <-ctx.Done():
		}
	}
	return errors.Join(context.Cause(ctx), buffered.Flush())
}

// plainWindow is how many answers may wait for an earlier one.
const plainWindow = 4096

// feed begins a call for each line as slots become free.
func (p *plain) feed(ctx context.Context, fail context.CancelCauseFunc, source io.Reader, pending chan<- chan []byte) {
	lines := bufio.NewScanner(source)
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	for lines.Scan() {
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		body, answer := bytes.Clone(lines.Bytes()), make(chan []byte, 1)
		go func() {
			defer func() { <-p.slots }()
			text, err := p.call(ctx, body)
			if err != nil {
				fail(err)
				return
			}
			answer <- text
		}()
		select {
		case pending <- answer:
		case <-ctx.Done():
			return
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}
