package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"pelton/internal/benchmark"
)

type benchCmd struct {
	What string `arg:"" optional:"" default:"queue" enum:"queue,files" help:"queue: the queue beside programs that have none; files: pelton run from file to file, whole processes (${default})."`

	InFlight []int           `placeholder:"N,…" help:"Calls at once (8,64,256,1024)."`
	Latency  []time.Duration `placeholder:"D,…" help:"Latency of the upstream (0s,50ms,1s)."`
	Jobs     []int           `placeholder:"N,…" help:"Jobs at once, which share the requests (1,100)."`
	NATS     []string        `name:"nats" placeholder:"WHERE,…" help:"Pelton's NATS server: embedded, process (one of its own) or the URL of a running one (embedded)."`
	Rounds   int             `placeholder:"N" help:"Rounds, of which the median counts (5)."`
	Requests int             `short:"n" placeholder:"N" help:"Requests of each program in each round (about two seconds' worth)."`
	Idle     int             `default:"-1" placeholder:"N" help:"Jobs of one request on an idle system (1000; 0: none)."`
	Cancels  int             `default:"-1" placeholder:"N" help:"Cancels of a large job to measure (10; 0: none)."`
	Startup  int             `default:"-1" placeholder:"N" help:"Starts of the command to measure (20; 0: none)."`
	Only     string          `enum:",table,idle,cancels,startup" default:"" placeholder:"WHAT" help:"table, idle, cancels or startup: that alone."`
	Against  string          `placeholder:"BINARY" help:"Another build of pelton, measured in the same rounds."`
	Quick    bool            `help:"A look that takes half a minute: fewer settings, shorter rounds."`
	JSON     bool            `name:"json" xor:"form" help:"Print JSON."`
	Markdown bool            `xor:"form" help:"Print the tables as Markdown."`
	From     string          `placeholder:"FILE" help:"Measure nothing: print the report that --json has written there."`

	CPUProfile string `name:"cpuprofile" group:"profile" placeholder:"FILE" help:"Write a CPU profile of Pelton's process, with one setting only."`
	MemProfile string `name:"memprofile" group:"profile" placeholder:"FILE" help:"Write a profile of its allocations."`
}

func (benchCmd) Help() string {
	return `Makes the same requests by a plain program (net/http), by go-openai's typed calls and by Pelton, in turns, against a mock upstream; every program and the upstream in a process of its own. Each answer is checked. Pelton's way is that of pelton run, without the files. With "files", whole processes from their start to their end: pelton run beside a plain program that reads the same file, makes the same calls and writes a file of answers in order.

All of it takes about a quarter of an hour on an idle machine; on a busy one only the ratios say something. A ratio is to the plain program in the same round, with the lowest and the highest of all rounds. An upstream that keeps most cores busy is what limits the others.

Examples:

	pelton bench --quick
	pelton bench --in-flight 64 --latency 0s --jobs 1 --nats embedded,process
	pelton bench files --rounds 3
	pelton bench files --in-flight 256 --latency 0s -n 1000000 --rounds 1
	pelton bench --json > bench.json
	pelton bench --from bench.json --markdown
	pelton bench --in-flight 64 --latency 0s --jobs 1 --only table --cpuprofile cpu.pprof`
}

func (c *benchCmd) Run(a *app) error {
	if c.From != "" {
		report, err := readReport(c.From)
		if err != nil {
			return usage(err)
		}
		return c.print(a, report)
	}
	exe, err := os.Executable()
	if err != nil {
		return setup(err)
	}
	options, err := c.options()
	if err != nil {
		return usage(err)
	}
	options.Stderr = a.stderr
	options.Say = func(line string) { a.say("%s", line) }
	options.Command = func(ctx context.Context, args ...string) *exec.Cmd {
		if len(args) == 0 {
			args = []string{"bench-part"}
		}
		cmd := exec.CommandContext(ctx, exe, args...)
		cmd.Args[0] = os.Args[0]
		return cmd
	}
	if err := options.Validate(); err != nil {
		return usage(err)
	}
	report, err := benchmark.Run(a.soft, options)
	if err != nil {
		return interruptedOr(a, setup(err))
	}
	return c.print(a, report)
}

func readReport(name string) (*benchmark.Report, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	report := new(benchmark.Report)
	if err := json.Unmarshal(text, report); err != nil {
		return nil, fmt.Errorf("%s: is no report of pelton bench --json: %w", name, err)
	}
	return report, nil
}

// print writes the report in the form that was asked for.
func (c *benchCmd) print(a *app, report *benchmark.Report) error {
	if c.JSON {
		return writeJSON(a.stdout, report)
	}
	width, _ := terminal(a.stdout)
	for i, t := range benchTables(report) {
		if i > 0 {
			if _, err := fmt.Fprintln(a.stdout); err != nil {
				return err
			}
		}
		write := t.write
		if c.Markdown {
			write = t.markdown
		}
		if err := write(a.stdout, width); err != nil {
			return err
		}
	}
	return nil
}

// options fills in what no flag said.
func (c *benchCmd) options() (benchmark.Options, error) {
	if c.What == "files" {
		return c.fileOptions()
	}
	o := benchmark.Options{
		InFlight: []int{8, 64, 256, 1024}, Latency: []time.Duration{0, 50 * time.Millisecond, time.Second}, Jobs: []int{1, 100},
		NATS: []string{benchmark.Embedded}, Rounds: 5, Aim: 2 * time.Second, Idle: 1000, Cancels: 10, Startup: 20,
		Requests: c.Requests, Against: c.Against, CPUProfile: c.CPUProfile, MemProfile: c.MemProfile,
	}
	if c.Quick {
		o.InFlight, o.Latency, o.Jobs = []int{8, 64}, []time.Duration{0, 50 * time.Millisecond}, []int{1}
		o.Rounds, o.Aim, o.Idle, o.Cancels, o.Startup = 3, 500*time.Millisecond, 100, 2, 3
	}
	instead(&o.InFlight, c.InFlight)
	instead(&o.Latency, c.Latency)
	instead(&o.Jobs, c.Jobs)
	instead(&o.NATS, c.NATS)
	over(&o.Rounds, c.Rounds)
	if c.Idle >= 0 {
		o.Idle = c.Idle
	}
	if c.Cancels >= 0 {
		o.Cancels = c.Cancels
	}
	if c.Startup >= 0 {
		o.Startup = c.Startup
	}
	if c.Only != "" && c.Only != "table" {
		o.InFlight = nil
	}
	for name, count := range map[string]*int{"idle": &o.Idle, "cancels": &o.Cancels, "startup": &o.Startup} {
		if c.Only != "" && c.Only != name {
			*count = 0
		}
	}
	return o, nil
}

// fileOptions are those of pelton bench files.
func (c *benchCmd) fileOptions() (benchmark.Options, error) {
	o := benchmark.Options{Rounds: 5, Against: c.Against}
	other := len(c.Jobs) > 0 || len(c.NATS) > 0 || c.Idle >= 0 || c.Cancels >= 0 || c.Startup >= 0 || c.Only != "" || c.CPUProfile != "" || c.MemProfile != ""
	if other {
		return o, errors.New("bench files: takes --in-flight, --latency, --requests, --rounds, --against, --quick and the forms of the report alone")
	}
	o.Files = []benchmark.FileSetting{
		{InFlight: 64, Requests: 60_000},
		{InFlight: 256, Latency: 50 * time.Millisecond, Requests: 10_000},
		{InFlight: 64, Requests: 1000},
	}
	if c.Quick {
		o.Rounds, o.Files = 3, []benchmark.FileSetting{{InFlight: 64, Requests: 10_000}, {InFlight: 64, Requests: 1000}}
	}
	over(&o.Rounds, c.Rounds)
	if len(c.InFlight) == 0 && len(c.Latency) == 0 && c.Requests == 0 {
		return o, nil
	}
	inFlight, latency, n := []int{64}, []time.Duration{0}, 60_000
	instead(&inFlight, c.InFlight)
	instead(&latency, c.Latency)
	over(&n, c.Requests)
	o.Files = nil
	for _, d := range latency {
		for _, k := range inFlight {
			o.Files = append(o.Files, benchmark.FileSetting{InFlight: k, Latency: d, Requests: n})
		}
	}
	o.InFlight, o.Latency = inFlight, latency // their bounds are checked as those of the queue's
	return o, nil
}

// instead takes a list that was given.
func instead[T any](to *[]T, given []T) {
	if len(given) > 0 {
		*to = given
	}
}

// benchPartCmd is one of the processes of bench.
type benchPartCmd struct{}

func (benchPartCmd) Run(a *app) error {
	err := benchmark.Serve(a.stdin, a.stdout, a.openBench)
	if errors.Is(err, errInterrupted) {
		return err
	}
	return setupOr(err)
}

// benchPlainCmd is the program that bench files compares with.
type benchPlainCmd struct {
	In       string `arg:"" help:"Requests as JSON Lines."`
	Out      string `arg:"" help:"Where the answers go."`
	Upstream string `arg:"" help:"Base URL."`
	InFlight int    `arg:"" help:"Calls at once."`
}

func (c benchPlainCmd) Run(a *app) error {
	return setupOr(benchmark.PlainFiles(a.soft, c.In, c.Out, c.Upstream, c.InFlight))
}

func setupOr(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: exitSetup, Err: err, Quiet: true} // the process that measures has been told
}
