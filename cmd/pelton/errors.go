package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"pelton/internal/dataset"
	"pelton/jobs"
	"pelton/schema"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailures    = 1   // finished, some requests failed; fail-fast too
	exitUsage       = 2   // usage or invalid input
	exitSetup       = 3   // connection, configuration, authentication, local disk
	exitLimit       = 4   // the deadline
	exitCancelled   = 5   // cancelled by somebody else
	exitInterrupted = 130 // by a signal, or by a reader of stdout that has gone
)

// Error is an error with the code to exit with and, where one helps, a hint.
type Error struct {
	Code  int
	Hint  string
	Err   error
	Quiet bool // all has been said
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// usage marks an error as the caller's own.
func usage(err error) error { return &Error{Code: exitUsage, Err: err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// setup marks an error of connection, configuration or the local disk.
func setup(err error) error { return &Error{Code: exitSetup, Err: err} }

// hinted adds a hint to err and gives it code.
func hinted(code int, hint string, err error) error { return &Error{Code: code, Hint: hint, Err: err} }

// exit ends the command with a code and without a further word.
func exit(code int) error {
	if code == exitOK {
		return nil
	}
	return &Error{Code: code, Err: fmt.Errorf("exit code %d", code), Quiet: true}
}

// codeOf is the one place that decides what an error exits with. What nobody
// has marked comes from the broker or the network.
func codeOf(err error) int {
	var known *Error
	var problems *schema.Problems
	var rows *dataset.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &known):
		return known.Code
	case errors.As(err, &problems), errors.As(err, &rows), errors.Is(err, jobs.ErrNotFound),
		errors.Is(err, jobs.ErrNoQueue), errors.Is(err, jobs.ErrRunning):
		return exitUsage
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled), closedStdout(err):
		return exitInterrupted
	}
	return exitSetup
}

// closedStdout reports whether err says that nobody reads stdout any more.
func closedStdout(err error) bool { return errors.Is(err, syscall.EPIPE) }

// fail prints err for people and returns its exit code.
func (a *app) fail(err error) int {
	code := codeOf(err)
	var known *Error
	errors.As(err, &known)
	if code == exitOK || code == exitInterrupted || known != nil && known.Quiet {
		return code
	}
	text := strings.TrimSpace(err.Error())
	if strings.Contains(text, "\n") && !strings.Contains(strings.SplitN(text, "\n", 2)[0], "problems:") {
		// Several things at once: each on a line of its own.
		text = "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
	}
	fmt.Fprintf(a.stderr, "pelton: error: %s\n", text)
	if known != nil && known.Hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", known.Hint)
	}
	return code
}

// faultAt finds the line of our own code where a panic began.
func faultAt(stack []byte) string {
	for line := range bytes.Lines(stack) {
		text := strings.TrimSpace(string(line))
		if strings.Contains(text, "/app.go:") || !strings.Contains(text, ".go:") || strings.Contains(text, "/src/runtime/") {
			continue
		}
		file, _, _ := strings.Cut(text, " ")
		if at := strings.LastIndex(file, "/"); at >= 0 && strings.Contains(string(stack), "main.") {
			return file[at+1:]
		}
	}
	return "unknown place"
}
