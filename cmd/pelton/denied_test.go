package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
)

// command runs a verb in a process of its own, and returns its exit code and
// what it wrote.
func command(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(append(os.Environ(), asPelton+"=1", "HOME="+t.TempDir(), "OPENAI_API_KEY=sk-0", "OPENAI_BASE_URL=http://127.0.0.1:1/v1"), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// A verb whose user lacks a right exits with 3 and says which subject the server
// denied; nothing about time, and no log line besides.
func TestDeniedVerbs(t *testing.T) {
	s := testenv.StartTenants(t, "../../deploy/nats/tenants.conf")
	prompts := filepath.Join(t.TempDir(), "prompts.txt")
	if err := os.WriteFile(prompts, []byte("Hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := command(t, s.Environ("a", "worker"), "worker"); code != exitSetup ||
		!strings.Contains(said, `NATS refused publish to "$JS.API.STREAM.CREATE.PELTON_JOBS"`) || !strings.Contains(said, "pelton check --create") {
		t.Errorf("worker without streams: %d, %s", code, said)
	}
	if code, said := command(t, s.Environ("a", "producer"), "check", "--create"); code != exitSetup ||
		!strings.Contains(said, `"$JS.API.STREAM.INFO.PELTON_JOBS"`) {
		t.Errorf("check --create by a producer: %d, %s", code, said)
	}
	if code, said := command(t, s.Environ("a", "admin"), "check", "--create", "--queues", "default=8,bulk=4"); code != exitOK {
		t.Fatalf("check --create by the admin: %d, %s", code, said)
	}
	for _, test := range []struct {
		name, role, subject string
		args                []string
	}{
		{"submit", "collector", "pelton.jobs.default", []string{"submit", "--model", "m", "--prompt", "{{.line}}", prompts}},
		{"submit to another queue", "producer", "pelton.jobs.bulk", []string{"submit", "--queue", "bulk", "--model", "m", "--prompt", "{{.line}}", prompts}},
		{"run", "collector", "pelton.jobs.default", []string{"run", "--model", "m", "--prompt", "{{.line}}", prompts}},
		{"results", "producer", "$JS.API.STREAM.INFO.PELTON_JOBS", []string{"results", "j"}},
		{"watch", "collector", "$JS.API.DIRECT.GET.KV_PELTON_STATE.$KV.PELTON_STATE.bulk.j", []string{"watch", "--queue", "bulk", "j"}},
		{"status", "producer", "$JS.API.DIRECT.GET.KV_PELTON_STATE.$KV.PELTON_STATE.bulk.j", []string{"status", "--queue", "bulk", "j"}},
		{"cancel", "producer", "$JS.API.DIRECT.GET.KV_PELTON_STATE.$KV.PELTON_STATE.bulk.j", []string{"cancel", "--queue", "bulk", "j"}},
		{"ls", "collector", "$JS.API.CONSUMER.CREATE.KV_PELTON_STATE.", []string{"ls", "--all"}},
		{"rm", "collector", "$JS.API.STREAM.INFO.PELTON_JOBS", []string{"rm", "j"}},
		{"retry", "collector", "$JS.API.STREAM.INFO.PELTON_JOBS", []string{"retry", "j"}},
		{"queue ls", "producer", "$JS.API.STREAM.INFO.PELTON_WORK", []string{"queue", "ls"}},
		{"queue set", "worker", "$JS.API.CONSUMER.CREATE.PELTON_WORK.workers-default.", []string{"queue", "set", "default", "3"}},
		{"check", "producer", "$JS.API.STREAM.INFO.PELTON_JOBS", []string{"check"}},
		{"worker", "collector", "$JS.API.STREAM.INFO.PELTON_JOBS", []string{"worker"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, said := command(t, s.Environ("a", test.role), test.args...)
			if code != exitSetup || !strings.Contains(said, `"`+test.subject) || !strings.Contains(said, "lack the permission") {
				t.Errorf("exit code %d: %s", code, said)
			}
			for _, word := range []string{"deadline", "timeout", "timed out", `"level"`} {
				if strings.Contains(said, word) && test.name != "worker" {
					t.Errorf("says %q: %s", word, said)
				}
			}
		})
	}
}
