package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// process is what a run of the command touches of the world, so that a test can
// give it another one. Settings are read from the real environment all the same.
type process struct {
	args           []string
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
	signals        <-chan os.Signal
	mortal         func() // called after the second signal: the third may kill
}

// app is a process at work. Its two contexts are the two steps in which a
// signal stops it: the first ends soft, the second hard as well.
type app struct {
	process
	soft, hard context.Context
	notes      *notes // stderr, with care for a progress bar on it
}

// notes is where lines for people go: stderr, or for as long as a progress bar
// stands there, what writes above the bar.
type notes struct {
	mu  sync.Mutex
	out io.Writer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.Write(p)
}

// through sends what follows through out.
func (n *notes) through(out io.Writer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.out = out
}

var errInterrupted = errors.New("interrupted")

// run is the whole command: it returns the exit code.
func run(p process) (code int) {
	a := &app{process: p, notes: &notes{out: p.stderr}}
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(a.stderr, "pelton: error: internal fault: %v (at %s)\nhint: please report this line, with the command and `pelton version`\n", r, faultAt(debug.Stack()))
			code = exitSetup
		}
	}()
	release := a.listen()
	defer release()
	if len(p.args) == 0 {
		p.args = []string{"--help"}
	}
	helped := false
	parser, err := a.parser(func(int) { helped = true })
	if err != nil {
		panic(err)
	}
	ctx, err := parser.Parse(p.args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		return a.fail(usage(err))
	}
	return a.fail(ctx.Run())
}

// parser is what reads the command line.
func (a *app) parser(exit func(int)) (*kong.Kong, error) {
	return kong.New(&commands{},
		kong.Name("pelton"), kong.Description(about),
		kong.Writers(a.stdout, a.stderr), kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100, NoExpandSubcommands: true}),
		kong.ExplicitGroups(groups), kong.Bind(a),
	)
}

// listen turns signals into the ends of the two contexts.
func (a *app) listen() (release func()) {
	soft, endSoft := context.WithCancelCause(context.Background())
	hard, endHard := context.WithCancelCause(context.Background())
	a.soft, a.hard = soft, hard
	done := make(chan struct{})
	go func() {
		for _, end := range []context.CancelCauseFunc{endSoft, endHard} {
			select {
			case <-a.signals:
				end(errInterrupted)
			case <-done:
				return
			}
		}
		if a.mortal != nil {
			a.mortal()
		}
	}()
	return func() {
		close(done)
		endSoft(nil)
		endHard(nil)
	}
}

// say prints a line for the person at the terminal. A stderr that has gone is
// no reason to stop.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.notes, "pelton: "+format+"\n", args...) }

// terminal returns w's width when it is a terminal.
func terminal(w any) (width int, ok bool) {
	file, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	return width, err == nil && width > 0
}

// colours reports whether w may be given colours.
func (a *app) colours(w any) bool {
	no, _ := a.env("NO_COLOR")
	dumb, _ := a.env("TERM")
	_, tty := terminal(w)
	return tty && no == "" && dumb != "dumb"
}
