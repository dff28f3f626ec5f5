package benchmark

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startLines is the length of the file that starts are measured with.
const startLines = 10

// startup measures starts of the command.
func (r *run) startup(ctx context.Context, report *Report) error {
	if r.Startup == 0 {
		return nil
	}
	r.Say(fmt.Sprintf("%d starts of the command", r.Startup))
	file := filepath.Join(r.dir, "ten.jsonl")
	if err := writeRequests(file, startLines); err != nil {
		return err
	}
	var first, whole, help []float64
	for range r.Startup + 1 { // the first one fills caches
		call, end, err := r.startRun(ctx, file)
		if err != nil {
			return fmt.Errorf("pelton run: %w", err)
		}
		helped, err := r.startHelp(ctx)
		if err != nil {
			return fmt.Errorf("pelton --help: %w", err)
		}
		first, whole, help = append(first, ms(call)), append(whole, ms(end)), append(help, ms(helped))
	}
	report.Startup = &Startup{
		Starts: r.Startup, FirstCall: spread(first[1:]), Whole: spread(whole[1:]), Help: spread(help[1:]),
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// startRun runs the file once and returns when its first call was at the
// upstream, and when the process had ended.
func (r *run) startRun(ctx context.Context, file string) (call, end time.Duration, err error) {
	if _, err := r.model.ask(ctx, task{Do: doLatency}); err != nil {
		return 0, 0, err
	}
	cmd := r.runOf(ctx, r.Command, file)
	start := time.Now()
	out, err := output(cmd)
	end = time.Since(start)
	if err != nil {
		return 0, 0, err
	}
	if n := bytes.Count(out, []byte(`"status":"succeeded"`)); n != startLines {
		return 0, 0, fmt.Errorf("%d of %d requests succeeded", n, startLines)
	}
	a, err := r.model.ask(ctx, task{Do: doUsage})
	if err != nil {
		return 0, 0, err
	}
	if a.Count != startLines {
		return 0, 0, fmt.Errorf("the upstream had %d calls, not %d", a.Count, startLines)
	}
	return a.First.Sub(start), end, nil
}

func (r *run) startHelp(ctx context.Context) (time.Duration, error) {
	cmd := r.Command(ctx, "--help")
	start := time.Now()
	_, err := output(cmd)
	return time.Since(start), err
}

// runOf is pelton run of a build, with the upstream's address and nothing else set.
func (r *run) runOf(ctx context.Context, command func(context.Context, ...string) *exec.Cmd, args ...string) *exec.Cmd {
	cmd := command(ctx, append([]string{"run", "--local", "--progress", "none"}, args...)...)
	cmd.Env = append(withoutSettings(cmd.Environ()), "OPENAI_BASE_URL="+r.model.url, "OPENAI_API_KEY=none", "TMPDIR="+r.dir)
	return cmd
}

// output runs a command and returns what it wrote; an error holds what it said.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return out.Bytes(), nil
}

// withoutSettings are the variables that do not change what a run does.
func withoutSettings(env []string) []string {
	var kept []string
	for _, entry := range env {
		if !strings.HasPrefix(entry, "NATS_") && !strings.HasPrefix(entry, "OPENAI_") && !strings.HasPrefix(entry, "PELTON_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
