// Command cmd runs the chaos harness: `make chaos`.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"pelton/internal/dev/chaos"
)

func main() {
	played, err := chaos.Play(os.Stdin, os.Stdout)
	if !played {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run() error {
	o := chaos.Options{Out: os.Stdout}
	flag.Uint64Var(&o.Seed, "seed", 1, "what schedules and jobs are drawn from")
	flag.IntVar(&o.Faults, "faults", 200, "faults to inject, at least; 0: no rounds")
	flag.IntVar(&o.Requests, "requests", 100_000, "requests to run, at least")
	flag.IntVar(&o.PerRound, "per-round", 25, "faults of a round")
	deaths := flag.Int("deaths", 0, "beside the rounds, runs in which workers are killed from outside and by requests of their own")
	from := flag.Int("deaths-from", 0, "the first of these runs")
	flag.IntVar(&o.Round, "round", -1, "run this round only")
	flag.DurationVar(&o.Limit, "limit", 18*time.Minute, "begin no round after that")
	flag.StringVar(&o.Binary, "binary", "", "the pelton to try; empty: one built from this module")
	report := flag.String("json", "", "write the report to this file, as JSON")
	root := flag.String("root", ".", "where the module is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if o.Dir, err = os.MkdirTemp("", "pelton-chaos-*"); err != nil {
		return err
	}
	defer os.Remove(o.Dir) // stays where evidence is left in it
	if o.Binary == "" {
		bin, err := os.MkdirTemp("", "pelton-chaos-bin-*")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(bin) }()
		if o.Binary, err = chaos.Build(ctx, *root, bin); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "%s, %s %s/%s, %d processors, seed %d\n", time.Now().UTC().Format(time.RFC3339),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.Seed)
	var all struct {
		*chaos.Report
		Deaths []chaos.DeathsReport `json:"deaths,omitempty"`
	}
	var broken []string
	if all.Deaths, broken, err = o.Deadly(ctx, *from, *deaths); err != nil {
		return err
	}
	if o.Faults > 0 {
		if all.Report, err = chaos.Run(ctx, o); err != nil {
			return err
		}
		all.Write(o.Out)
		if o.Round >= 0 {
			o.Faults, o.Requests = 0, 0
		}
		if why := all.Failed(o); why != "" {
			broken = append(broken, why)
		}
	}
	if *report != "" {
		data, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*report, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("%s (seed %d)", strings.Join(broken, "; "), o.Seed)
	}
	return nil
}
