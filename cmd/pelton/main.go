// Command pelton runs batches of LLM requests over NATS JetStream: as one
// command on one machine (run), or as a long-running service (worker) with
// verbs around it.
//
// One file per verb. What they share: app.go (a process and its signals),
// errors.go (errors and exit codes), settings.go (configuration, connection),
// local.go (where a job runs), session.go (a job from its submit to its last
// written result), runbeside.go, resume.go and sidecar.go (a run that can be gone
// on with).
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(realMain()) }

func realMain() int {
	// A reader that has gone (pelton … | head) is an error of a write, to be
	// handled like others, and not the end of the process in mid-job.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return run(process{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		env: os.LookupEnv, signals: signals, mortal: func() { signal.Stop(signals) },
	})
}
