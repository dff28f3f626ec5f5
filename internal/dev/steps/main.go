// Command steps makes a table of a profile: what each step of a request's way
// costs, so that all rows together are all of it.
//
//	pelton bench --in-flight 64 --latency 0s --jobs 1 --idle 0 --startup 0 -n 20000 --cpuprofile cpu.pprof
//	go run ./internal/dev/steps -n 100128 cpu.pprof
//
// A profile of allocations (--memprofile) is counted in objects. With -n, the
// number of requests the profile covers, rounds and warm-up together, the rows
// are microseconds or objects per request.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "steps:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("steps", flag.ContinueOnError)
	n := flags.Int("n", 0, "requests that the profile covers; 0: shares only")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *n < 0 {
		return errors.New("usage: steps [-n REQUESTS] PROFILE")
	}
	traces, err := pprofTraces(flags.Arg(0))
	if err != nil {
		return err
	}
	t, err := tally(bytes.NewReader(traces))
	if err != nil {
		return err
	}
	return t.write(out, *n)
}

// pprofTraces has pprof print every stack of a profile, with files and lines.
func pprofTraces(profile string) ([]byte, error) {
	out, err := pprof("-sample_index=alloc_objects", "-unit=count", profile)
	if err != nil { // no profile of allocations, then
		out, err = pprof("-sample_index=cpu", "-unit=us", profile)
	}
	return out, err
}

func pprof(args ...string) ([]byte, error) {
	cmd := exec.CommandContext(context.Background(), "go", append([]string{"tool", "pprof", "-traces", "-lines"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return out, nil
}
