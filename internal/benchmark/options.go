package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options say what to measure. All fields are required, unless they say otherwise.
type Options struct {
	InFlight []int           // calls at once
	Latency  []time.Duration // of the upstream
	Jobs     []int           // jobs at once; the requests of a cell are shared out among them
	NATS     []string        // where Pelton's NATS is: [Embedded], [Apart] or a URL; one program each
	Rounds   int
	Requests int           // per program and round; 0: about Aim's worth of them
	Aim      time.Duration // how long a round of one program may take, where Requests is 0
	Idle     int           // jobs of one request on an idle system; 0: none
	Cancels  int           // cancels of a large job; 0: none
	Startup  int           // starts of the command; 0: none
	Files    []FileSetting // from file to file, whole processes; none: not measured
	Against  string        // another build of the command, measured in the same rounds; empty: none

	CPUProfile, MemProfile string // files for Pelton's profiles, with one cell only; empty: none

	// Command makes a process of this command: a part, as [Serve] plays it, when
	// it has no arguments.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	Stderr  io.Writer         // of these processes
	Say     func(line string) // told how far it is
}

// Where Pelton's NATS server is.
const (
	Embedded = "embedded" // in Pelton's process
	Apart    = "process"  // in a process of its own, reached over a socket
)

// maxRequests bounds a round, whose answers the plain programs hold in memory.
const maxRequests = 10_000_000

// Validate names all that is wrong.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, n := range o.InFlight {
		if n < 1 || n > 10_000 {
			bad("--in-flight %d: must be 1 to 10000", n)
		}
	}
	for _, d := range o.Latency {
		if d < 0 || d > time.Minute {
			bad("--latency %s: must be 0s to 1m", d)
		}
	}
	for _, n := range o.Jobs {
		if n < 1 || n > 1000 {
			bad("--jobs %d: must be 1 to 1000", n)
		}
		if o.Requests > 0 && o.Requests < n {
			bad("--requests %d: less than one for each of %d jobs", o.Requests, n)
		}
	}
	for _, where := range o.NATS {
		if where != Embedded && where != Apart && !strings.Contains(where, "://") {
			bad("--nats %s: must be %s, %s or a URL such as nats://127.0.0.1:4222", where, Embedded, Apart)
		}
	}
	if o.Rounds < 1 || o.Rounds > 100 {
		bad("--rounds %d: must be 1 to 100", o.Rounds)
	}
	if o.Requests < 0 || o.Requests > maxRequests {
		bad("--requests %d: must be at most %d", o.Requests, maxRequests)
	}
	if o.Idle < 0 || o.Idle > 1_000_000 {
		bad("--idle %d: must be 0 to 1000000", o.Idle)
	}
	if o.Cancels < 0 || o.Cancels > 1000 {
		bad("--cancels %d: must be 0 to 1000", o.Cancels)
	}
	if o.Startup < 0 || o.Startup > 1000 {
		bad("--startup %d: must be 0 to 1000", o.Startup)
	}
	for _, s := range o.Files {
		if s.Requests < 1 || s.Requests > maxRequests {
			bad("--requests %d: must be 1 to %d", s.Requests, maxRequests)
		}
	}
	if o.Against != "" {
		if _, err := exec.LookPath(o.Against); err != nil {
			bad("--against %s: must be another build of this command: %w", o.Against, err)
		}
	}
	if (o.CPUProfile != "" || o.MemProfile != "") && (len(o.cells()) != 1 || len(o.NATS) != 1) {
		bad("--cpuprofile, --memprofile: give one --in-flight, one --latency, one --jobs and one --nats: a profile is of one program in one cell")
	}
	if o.CPUProfile != "" && o.MemProfile != "" {
		bad("--cpuprofile and --memprofile: one at a time: sampling allocations costs CPU time of its own")
	}
	return errors.Join(errs...)
}

// cells are all combinations, in the order in which they are measured.
func (o *Options) cells() []Cell {
	var list []Cell
	for _, jobs := range o.Jobs {
		for _, latency := range o.Latency {
			for _, n := range o.InFlight {
				list = append(list, Cell{InFlight: n, Latency: Duration(latency), Jobs: jobs, Requests: o.requests(n, jobs, latency)})
			}
		}
	}
	return list
}

// usualRate is about what one machine makes of an upstream that answers at once.
const usualRate = 8000 // per second

// requests are those of one round: whole waves of calls, several of them.
func (o *Options) requests(inFlight, jobs int, latency time.Duration) int {
	if o.Requests > 0 {
		return o.Requests / jobs * jobs
	}
	rate := float64(usualRate)
	if latency > 0 {
		rate = min(rate, float64(inFlight)/latency.Seconds())
	}
	waves := max(4, int(rate*o.Aim.Seconds())/inFlight)
	n := max(waves*inFlight, jobs)
	return n / jobs * jobs
}

// programs are what is measured in each cell. The first is what the others are
// compared with.
func (o *Options) programs() []program {
	list := []program{{name: NetHTTP, setup: Setup{Role: roleNetHTTP}}, {name: GoOpenAI, setup: Setup{Role: roleGoOpenAI}}}
	for _, where := range o.NATS {
		p := program{name: "pelton", setup: Setup{Role: rolePelton}, where: where}
		if where != Embedded {
			p.name = "pelton, NATS " + where
		}
		list = append(list, p)
		if o.Against != "" {
			p.name, p.against = "against "+filepath.Base(o.Against)+strings.TrimPrefix(p.name, "pelton"), true
			list = append(list, p)
		}
	}
	return list
}

// The programs without a queue.
const (
	NetHTTP  = "net/http"
	GoOpenAI = "go-openai"
)

// program is one of those that are compared.
type program struct {
	name  string
	setup Setup
	where string // its NATS server, for Pelton

	against bool // the other build of the command plays it
}

func (p program) pelton() bool { return p.where != "" }

// rotated is the order of the programs in a round: none is always the first.
func rotated[T any](list []T, round int) []T {
	n := round % len(list)
	return append(slices.Clone(list[n:]), list[:n]...)
}
