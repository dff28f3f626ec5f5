package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// process is a child of the harness.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer     // nil for those that need none
	gone  chan struct{} // closed when it has ended
	code  int           // its exit code, to be read after gone; -1: by a signal
}

// start runs a command whose output goes to log, with no more of the harness's
// environment than a process needs.
func start(log io.Writer, cmd *exec.Cmd, env ...string) (*process, error) {
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir(), "HOME="+os.TempDir())
	cmd.Stderr = log
	tie(cmd)
	if err := fork(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
	}()
	return p, nil
}

// fork starts a command from one thread that lives as long as the harness: the
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

// kill ends the process as a power cut would, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// end asks the process to end, and kills one that has not within the limit. It
// reports whether that was needed.
func (p *process) end(limit time.Duration) (killed bool) {
	if p.stdin != nil {
		_ = p.stdin.Close()
	} else {
		_ = p.cmd.Process.Signal(sigTerm)
	}
	select {
	case <-p.gone:
		return false
	case <-time.After(limit):
		p.kill()
		return true
	}
}

// startRole runs a part of the harness and returns the line it says when ready.
func startRole(ctx context.Context, log io.Writer, r role) (*process, string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, exe)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	cmd.Stdout = in
	p, err := start(log, cmd, roleVar+"="+string(text))
	in.Close()
	if err != nil {
		return nil, "", err
	}
	p.stdin = stdin
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.kill()
		return nil, "", errors.New("a process of the harness did not get ready")
	}
	return p, strings.TrimSpace(line), nil
}

// startWorker runs `pelton worker` until life ends, and returns the URL it says
// it serves at; ctx bounds the wait for that.
func startWorker(life, ctx context.Context, log io.Writer, binary, dir, name string, env []string, args ...string) (*process, string, error) {
	ready := filepath.Join(dir, name+".url")
	args = append([]string{"worker", "--name", name, "--log-format", "json", "--url-file", ready}, args...)
	p, err := start(log, exec.CommandContext(life, binary, args...), env...)
	if err != nil {
		return nil, "", err
	}
	url, err := awaitFile(ctx, p, ready)
	if err != nil {
		p.kill()
		return nil, "", fmt.Errorf("worker %s: %w", name, err)
	}
	return p, url, nil
}

// awaitFile waits for a process to write a file.
func awaitFile(ctx context.Context, p *process, path string) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(data)), nil
		}
		select {
		case <-tick.C:
		case <-p.gone:
			return "", fmt.Errorf("ended with code %d before it was ready", p.code)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// Build builds the binary under test into dir, from the module in root. flags are
// of go build.
func Build(ctx context.Context, root, dir string, flags ...string) (string, error) {
	binary := filepath.Join(dir, "pelton")
	args := slices.Concat([]string{"build"}, flags, []string{"-o", binary, "./cmd/pelton"})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pelton: %w\n%s", err, out)
	}
	return binary, nil
}
