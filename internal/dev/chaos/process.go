package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pelton/internal/dev/child"
)

// start runs a command whose output goes to log, with no more of the harness's
// environment than a process needs.
func start(log io.Writer, cmd *exec.Cmd, env ...string) (*child.Process, error) {
	prepare(log, cmd, env...)
	return child.Start(cmd)
}

func prepare(log io.Writer, cmd *exec.Cmd, env ...string) {
	cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir(), "HOME="+os.TempDir())
	cmd.Stderr = log
	child.Tie(cmd)
}

// startRole runs a part of the harness and returns the line it says when ready.
func startRole(ctx context.Context, log io.Writer, r role) (*child.Process, string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, exe)
	prepare(log, cmd)
	p, err := child.Play(cmd, roleVar, r)
	if err != nil {
		return nil, "", err
	}
	line := <-p.Said()
	if line == "" {
		p.Kill()
		return nil, "", errors.New("a process of the harness did not get ready")
	}
	return p, line, nil
}

// startWorker runs `pelton worker` until life ends, and returns the URL it says
// it serves at; ctx bounds the wait for that.
func startWorker(life, ctx context.Context, log io.Writer, binary, dir, name string, env []string, args ...string) (*child.Process, string, error) {
	ready := filepath.Join(dir, name+".url")
	args = append([]string{"worker", "--name", name, "--log-format", "json", "--url-file", ready}, args...)
	p, err := start(log, exec.CommandContext(life, binary, args...), env...)
	if err != nil {
		return nil, "", err
	}
	url, err := awaitFile(ctx, p, ready)
	if err != nil {
		p.Kill()
		return nil, "", fmt.Errorf("worker %s: %w", name, err)
	}
	return p, url, nil
}

// awaitFile waits for a process to write a file.
func awaitFile(ctx context.Context, p *child.Process, path string) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(data)), nil
		}
		select {
		case <-tick.C:
		case <-p.Gone():
			return "", fmt.Errorf("ended with code %d before it was ready", p.Code())
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
