// Package child starts processes for tests and for the harness that breaks
// things, talks to them, and ends them.
package child

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Process is a process that was started here. Its methods may be called at the
// same time.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer   // nil for those that need none
	said  chan string // its first line, "" if it ended without; nil where nobody listens
	gone  chan struct{}
}

// Start starts cmd.
func Start(cmd *exec.Cmd) (*Process, error) { return start(cmd, nil, nil) }

// Play starts a test binary, or the harness, as cmd has it, in a part of its own:
// role stands in the environment as JSON, under the name variable. The end of its
// standard input tells it to end. What it writes first is for [Process.Said].
func Play(cmd *exec.Cmd, variable string, role any) (*Process, error) {
	text, err := json.Marshal(role)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, variable+"="+string(text))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return start(cmd, stdin, stdout)
}

func start(cmd *exec.Cmd, stdin io.Closer, stdout io.Reader) (*Process, error) {
	run := cmd.Start
	if cmd.SysProcAttr != nil {
		run = func() error { return fork(cmd) }
	}
	if err := run(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: stdin, gone: make(chan struct{})}
	if stdout != nil {
		p.said = make(chan string, 1)
	}
	go func() {
		defer close(p.gone)
		if stdout != nil {
			line, _ := bufio.NewReader(stdout).ReadString('\n')
			p.said <- strings.TrimSpace(line)
		}
		_ = cmd.Wait() // after the read: it closes the pipe
	}()
	return p, nil
}

// Tie has the kernel end cmd, which is yet to be started, with this process, also
// when that is killed; where the kernel cannot, it does nothing.
func Tie(cmd *exec.Cmd) { tie(cmd) }

// fork starts a command from one thread that lives as long as this process: the
// kernel ends a tied child with the thread that made it.
func fork(cmd *exec.Cmd) error {
	done := make(chan error)
	forks() <- func() { done <- cmd.Start() }
	return <-done
}

var forks = sync.OnceValue(func() chan<- func() {
	todo := make(chan func())
	go forker(todo)
	return todo
})

func forker(todo <-chan func()) {
	runtime.LockOSThread()
	for f := range todo {
		f()
	}
}

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Said gives the first line that a process of [Play] writes, once: without its
// end, and "" if it ended before.
func (p *Process) Said() <-chan string { return p.said }

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Code is the exit code of a process that is gone; -1 if a signal ended it.
func (p *Process) Code() int { return p.cmd.ProcessState.ExitCode() }

// Kill ends the process as a power cut would, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// End asks the process to end, by the end of its standard input or a signal, and
// kills one that has not within the limit. It reports whether that was needed.
func (p *Process) End(limit time.Duration) (killed bool) {
	p.ask()
	select {
	case <-p.gone:
		return false
	case <-time.After(limit):
		p.Kill()
		return true
	}
}

// Stop asks the process to end, and returns when it is gone.
func (p *Process) Stop() {
	p.ask()
	<-p.gone
}

func (p *Process) ask() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	} else {
		_ = p.cmd.Process.Signal(sigTerm)
	}
}

// Pause stops the process in its tracks. Where there is no such signal it fails.
func (p *Process) Pause() error { return p.cmd.Process.Signal(sigStop) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.cmd.Process.Signal(sigCont) }
