//go:build servers && unix

package servers

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pelton/internal/faultyllm"
	"pelton/router"
)

// server is a real one, and how it is started in dir on a port of this machine.
type server struct {
	name     string
	idle     time.Duration // after which it closes a connection that nobody uses
	noStream bool          // its streams fail by a fault of its own
	headers  func(backend string) map[string]router.Secret
	command  func(dir, port, backend string) (env, args []string)
}

func python(dir, venv string, args ...string) []string {
	return append([]string{filepath.Join(dir, venv, "bin", "python"), "-m"}, args...)
}

var all = []server{
	{name: "uvicorn, h11", idle: 5 * time.Second, command: func(dir, port, _ string) ([]string, []string) {
		return nil, python(dir, "web", "uvicorn", "model:app", "--port", port, "--http", "h11", "--log-level", "warning")
	}},
	{name: "uvicorn, httptools", idle: 5 * time.Second, command: func(dir, port, _ string) ([]string, []string) {
		return nil, python(dir, "web", "uvicorn", "model:app", "--port", port, "--http", "httptools", "--log-level", "warning")
	}},
	{name: "gunicorn, asgi", idle: 2 * time.Second, command: func(dir, port, _ string) ([]string, []string) {
		return nil, python(dir, "web", "gunicorn", "model:app", "-b", "127.0.0.1:"+port, "-k", "asgi", "--log-level", "warning")
	}},
	{name: "gunicorn, gthread", idle: 2 * time.Second, command: func(dir, port, _ string) ([]string, []string) {
		return nil, python(dir, "web", "gunicorn", "model:wsgi", "-b", "127.0.0.1:"+port, "-k", "gthread", "--threads", "8", "--log-level", "warning")
	}},
	{name: "gunicorn, sync", idle: 2 * time.Second, command: func(dir, port, _ string) ([]string, []string) {
		return nil, python(dir, "web", "gunicorn", "model:wsgi", "-b", "127.0.0.1:"+port, "--log-level", "warning")
	}},
	{name: "Node", idle: 6 * time.Second, command: func(_, port, _ string) ([]string, []string) {
		return []string{"PORT=" + port}, []string{"node", "model.mjs"}
	}},
	{name: "LiteLLM", idle: 5 * time.Second, headers: func(string) map[string]router.Secret {
		return map[string]router.Secret{"x-litellm-num-retries": router.NewSecret("0")}
	}, command: func(dir, port, _ string) ([]string, []string) {
		return []string{"LITELLM_LOCAL_MODEL_COST_MAP=True"},
			[]string{filepath.Join(dir, "litellm", "bin", "litellm"), "--config", "litellm.yaml", "--host", "127.0.0.1", "--port", port}
	}},
	{name: "Portkey", idle: 6 * time.Second, noStream: true, headers: func(backend string) map[string]router.Secret {
		return map[string]router.Secret{"x-portkey-provider": router.NewSecret("openai"), "x-portkey-custom-host": router.NewSecret(backend)}
	}, command: func(_, port, _ string) ([]string, []string) {
		return nil, []string{"node", "node_modules/@portkey-ai/gateway/build/start-server.js", "--port=" + port, "--headless"}
	}},
}

// What runs at once at each of them, in bursts with a pause between that is as long
// as the server keeps a connection, a little less or more.
const (
	bursts = 8
	burst  = 25
	step   = 10 * time.Millisecond
)

// TestServers asks each server 200 times, streamed and not: nothing fails without a
// retry, and nothing is asked twice.
func TestServers(t *testing.T) {
	dir := install(t)
	llm, err := faultyllm.New(faultyllm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := llm.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = llm.Close() })
	config := fmt.Sprintf("model_list:\n  - model_name: mock\n    litellm_params: {model: openai/mock, api_base: %q, api_key: sk-backend}\ngeneral_settings: {master_key: sk-test}\n", llm.URL())
	write(t, filepath.Join(dir, "litellm.yaml"), []byte(config))
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			base := start(t, s, dir, llm.URL())
			for _, stream := range []bool{false, true} {
				if stream && s.noStream {
					continue
				}
				t.Run(fmt.Sprintf("stream %t", stream), func(t *testing.T) {
					t.Parallel()
					ask(t, s, base, llm.URL(), stream)
				})
			}
		})
	}
}

func ask(t *testing.T, s server, base, backend string, stream bool) {
	none := 0
	d := router.Deployment{ID: "d", Group: "*", Model: "*", BaseURL: base + "/v1", APIKey: router.NewSecret("sk-test")}
	if s.headers != nil {
		d.Headers = s.headers(backend)
	}
	r, err := router.New(&router.Config{Deployments: []router.Deployment{d}, NumRetries: &none, AllowedFails: &none})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body := fmt.Appendf(nil, `{"model":"mock","messages":[{"role":"user","content":"hi"}],"stream":%t}`, stream)
	var mu sync.Mutex
	failed, twice := 0, 0
	for i := range bursts {
		var running sync.WaitGroup
		for range burst {
			running.Go(func() {
				out := r.Do(t.Context(), router.Request{Body: body, Timeout: 2 * time.Minute})
				mu.Lock()
				defer mu.Unlock()
				if out.Error != nil {
					failed++
					t.Errorf("burst %d: %v", i, out.Error)
				}
				if len(out.Attempts) > 1 {
					twice++
					t.Errorf("burst %d: asked %d times: %v", i, len(out.Attempts), out.Attempts[0].Error)
				}
			})
		}
		running.Wait()
		if i < bursts-1 {
			<-time.After(s.idle + time.Duration(i-bursts/2)*step)
		}
	}
	t.Logf("%d requests, %d failed, %d asked twice", bursts*burst, failed, twice)
}

// install puts the servers into a folder: SERVERS_DIR, where they are kept for the
// next time, or one that goes with the test.
func install(t *testing.T) string {
	dir := os.Getenv("SERVERS_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, name := range []string{"model.py", "model.mjs", "package.json", "web.txt", "litellm.txt"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), text)
	}
	for _, venv := range []string{"web", "litellm"} {
		done := filepath.Join(dir, venv, "done")
		if _, err := os.Stat(done); err == nil {
			continue
		}
		run(t, dir, "python3", "-m", "venv", venv)
		run(t, dir, python(dir, venv, "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", venv+".txt")...)
		write(t, done, nil)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@portkey-ai")); err != nil {
		run(t, dir, "npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
	}
	return dir
}

// start runs a server until the test ends, and returns where it is once it answers.
func start(t *testing.T, s server, dir, backend string) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	env, args := s.command(dir, port, backend)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	var log bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, append(os.Environ(), env...), &log, &log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its workers
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	base = "http://127.0.0.1:" + port
	for give := time.After(5 * time.Minute); ; {
		if resp, err := http.Get(base + "/"); err == nil {
			_ = resp.Body.Close()
			return base
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", s.name, err, log.String())
		case <-give:
			t.Fatalf("%s does not answer\n", s.name)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), args[0], args[1:]...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
