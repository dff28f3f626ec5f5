package benchmark

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The parts that a process can play.
const (
	roleUpstream = "upstream"
	roleNATS     = "nats"
	roleNetHTTP  = "net/http"
	roleGoOpenAI = "go-openai"
	rolePelton   = "pelton"
)

// Setup is the first line that a process of ours reads: its part.
type Setup struct {
	Role       string `json:"role"`
	Upstream   string `json:"upstream,omitempty"` // base URL
	NATS       string `json:"nats,omitempty"`     // URL; empty: Pelton runs its own in Dir
	Prefix     string `json:"prefix,omitempty"`   // of Pelton's subjects and streams
	Dir        string `json:"dir,omitempty"`      // for a store; empty before the process makes it
	InFlight   int    `json:"in_flight,omitempty"`
	Jobs       int    `json:"jobs,omitempty"`
	CPUProfile string `json:"cpu_profile,omitempty"`
	MemProfile string `json:"mem_profile,omitempty"`
}

// The tasks.
const (
	doRun     = "run"     // make Requests in Jobs jobs
	doIdle    = "idle"    // make Requests jobs of one, and as many bare calls
	doUsage   = "usage"   // tell what was used so far
	doLatency = "latency" // the upstream: take Latency from now on, and forget the calls
	doBusy    = "busy"    // the upstream: wait until Requests calls are in flight
	doFree    = "free"    // the upstream: wait until none is, and tell when that was
	doBegin   = "begin"   // begin a job of Requests
	doCancel  = "cancel"  // cancel it, and tell when that began and how long it took until it had ended
)

// task is a line that a process of ours reads after its setup.
type task struct {
	Do       string        `json:"do"`
	Requests int           `json:"requests,omitempty"`
	Jobs     int           `json:"jobs,omitempty"`
	Latency  time.Duration `json:"latency,omitempty"`
}

// answer is what it writes for each line it has read.
type answer struct {
	Error   string    `json:"error,omitempty"`
	URL     string    `json:"url,omitempty"` // of what it serves
	Seconds float64   `json:"seconds,omitempty"`
	Used    usage     `json:"used"`
	Ends    []float64 `json:"ends,omitempty"`  // when each job had its last answer, in seconds
	Jobs    []float64 `json:"jobs,omitempty"`  // what jobs of one request took, in seconds
	Calls   []float64 `json:"calls,omitempty"` // what bare calls took
	Count   int       `json:"count,omitempty"` // calls that the upstream had
	First   time.Time `json:"first,omitzero"`  // when the first of them came
	At      time.Time `json:"at,omitzero"`     // when what was waited for, or begun, was
}

// Load makes requests in one of the ways that are compared.
type Load interface {
	// Run makes the requests and calls take with each answer, in their order. It
	// is called concurrently, once per job.
	Run(ctx context.Context, requests Requests, take func(text []byte) error) error

	// Tidy removes what earlier runs have left. It is not measured.
	Tidy(ctx context.Context) error

	// Close ends it.
	Close()
}

// Canceller is a load whose work can be ended.
type Canceller interface {
	// Begin begins a job and returns once it is accepted.
	Begin(ctx context.Context, requests Requests) error

	// Cancel ends it and returns once its state says so.
	Cancel(ctx context.Context) error
}

// Open makes the load that is Pelton.
type Open func(Setup) (Load, error)

// part is a process at work.
type part interface {
	do(ctx context.Context, t task) (answer, error)
	url() string
	close()
}

// Serve plays the part that the first line of in asks for, until in ends. What
// is under way then is given up.
func Serve(in io.Reader, out io.Writer, open Open) error {
	lines := json.NewDecoder(bufio.NewReader(in))
	var setup Setup
	if err := lines.Decode(&setup); err != nil {
		return fmt.Errorf("the part to play: %w", err)
	}
	reply := json.NewEncoder(out)
	p, err := newPart(setup, open)
	if err != nil {
		_ = reply.Encode(answer{Error: err.Error()})
		return err
	}
	defer p.close()
	if err := reply.Encode(answer{URL: p.url()}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tasks := make(chan task)
	go func() {
		defer cancel()
		defer close(tasks)
		for {
			var t task
			if lines.Decode(&t) != nil {
				return
			}
			select {
			case tasks <- t:
			case <-ctx.Done():
				return
			}
		}
	}()
	for t := range tasks {
		a, err := p.do(ctx, t)
		if err != nil {
			a.Error = err.Error()
		}
		if err := reply.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

func newPart(s Setup, open Open) (part, error) {
	switch s.Role {
	case roleUpstream:
		return newUpstream()
	case roleNATS:
		return newNATS(s.Dir)
	case roleNetHTTP:
		return newLoader(s, newPlain(s.Upstream, s.InFlight))
	case roleGoOpenAI:
		return newLoader(s, newTyped(s.Upstream, s.InFlight))
	case rolePelton:
		load, err := open(s)
		if err != nil {
			return nil, err
		}
		return newLoader(s, load)
	}
	return nil, errors.New("no such part: " + s.Role)
}
