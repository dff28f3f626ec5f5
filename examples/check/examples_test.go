//go:build examples

package check

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pelton/internal/faultyllm"
)

const root = "../.."

// service starts a worker with a NATS server and a mock upstream, and returns
// where it is.
func service(t *testing.T) (url string) {
	t.Helper()
	llm, err := faultyllm.New(faultyllm.Config{})
	if err == nil {
		err = llm.Start("")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = llm.Close() })
	dir := t.TempDir()
	pelton, file := filepath.Join(dir, "pelton.exe"), filepath.Join(dir, "url")
	run(t, root, nil, "go", "build", "-o", pelton, "./cmd/pelton")

	worker := exec.Command(pelton, "worker", "--listen", "127.0.0.1:0", "--store-dir", filepath.Join(dir, "store"), "--url-file", file, "--http-addr", "off")
	worker.Env = append(os.Environ(), "OPENAI_BASE_URL="+llm.URL(), "NATS_URL=")
	worker.Stderr = os.Stderr
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Signal(syscall.SIGTERM)
		_ = worker.Wait()
	})
	late := time.Now().Add(time.Minute)
	for {
		data, err := os.ReadFile(file)
		if err == nil {
			return strings.TrimSpace(string(data))
		}
		if time.Now().After(late) {
			t.Fatal("the worker does not begin")
		}
		time.Sleep(20 * time.Millisecond) // asked again, not trusted
	}
}

// run runs a command and returns what it prints.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// holds complains of what is not printed, in this order.
func holds(t *testing.T, out string, want ...string) {
	t.Helper()
	rest := out
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Errorf("there is no %q, or not in its place, in\n%s", w, out)
			return
		}
		rest = after
	}
}

// need returns where a program is; an example whose language is not here is not run.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("no %s here", program)
	}
	return path
}

// copied is a folder of examples elsewhere, so that nothing is installed here.
func copied(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExamples(t *testing.T) {
	env := []string{"NATS_URL=" + service(t)}
	t.Run("Go", func(t *testing.T) {
		holds(t, run(t, root, env, "go", "run", "./examples/go"), "0 {", "capital of Norway", "\n1 {", "capital of Peru")
	})
	t.Run("Go without this module", func(t *testing.T) {
		out := run(t, root, env, "go", "run", "./examples/plain")
		holds(t, out, "capital of Norway")
		holds(t, out, "capital of Peru")
		holds(t, out, `end {`, `"state":"succeeded"`)
	})
	t.Run("micro service", func(t *testing.T) {
		holds(t, run(t, root, env, "go", "run", "./examples/service"), "0 {", "capital of Norway", "\n1 {", "capital of Peru")
	})
	t.Run("JavaScript", func(t *testing.T) {
		need(t, "node")
		dir := copied(t, "javascript")
		run(t, dir, nil, need(t, "npm"), "install", "--silent", "--no-audit", "--no-fund")
		holds(t, run(t, dir, env, "node", "run.mjs"), "0 You said: Name the capital of Norway.\n1 You said: Name the capital of Peru.\n", `succeeded {"succeeded":2`)
	})
	t.Run("Python", func(t *testing.T) {
		python := need(t, "python3")
		dir := copied(t, "python")
		run(t, dir, nil, python, "-m", "venv", "venv")
		venv := filepath.Join(dir, "venv", "bin", "python")
		run(t, dir, nil, venv, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nats-py")
		holds(t, run(t, dir, env, venv, "run.py"), "0 You said: Hello\n1 You said: Tell me a joke\nsucceeded {'succeeded': 2")
	})
	t.Run("shell", func(t *testing.T) {
		need(t, "nats")
		out := run(t, root, env, need(t, "bash"), "examples/nats/submit.sh")
		holds(t, out, `"status":"succeeded"`, `"status":"succeeded"`, `"state":"succeeded"`)
	})
}
