package benchmark

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pelton/schema"
)

func TestRequestsAreRight(t *testing.T) {
	list := Requests{First: 998, N: 5}
	text, err := io.ReadAll(oneByte{list.Lines()})
	if err != nil {
		t.Fatal(err)
	}
	reader := schema.NewLineReader(strings.NewReader(string(text)), schema.Limits{}, nil)
	n := 0
	for reader.Next() {
		if body := string(reader.Request().Body); !strings.Contains(body, message(list.First+n)) {
			t.Errorf("request %d: %s", n, body)
		}
		n++
	}
	if reader.Problems() != nil || n != list.N {
		t.Errorf("%d requests, %v", n, reader.Problems())
	}
	if len(text) > list.Size() {
		t.Errorf("%d bytes, said to be at most %d", len(text), list.Size())
	}
}

// oneByte reads in the smallest steps.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }

func TestCheckerSeesWhatIsWrong(t *testing.T) {
	answers := func(list ...int) error {
		c := checker{want: Requests{10, 3}}
		for _, i := range list {
			if err := c.take(appendMark([]byte(`{"choices":[{"message":{"content":"`), i)); err != nil {
				return err
			}
		}
		return c.done()
	}
	if err := answers(10, 11, 12); err != nil {
		t.Error(err)
	}
	for _, wrong := range [][]int{{10, 12, 11}, {10, 11}, {10, 11, 12, 13}, {10, 10, 11}, {1, 11, 12}} {
		if answers(wrong...) == nil {
			t.Errorf("answers %v are taken for right", wrong)
		}
	}
}

// Answers keep the order of the requests, no more calls run than there are
// slots, and a call that fails ends it.
func TestInSlots(t *testing.T) {
	slots := make(chan struct{}, 3)
	check := checker{want: Requests{5, 50}}
	err := inSlots(t.Context(), slots, check.want, check.take, func(_ context.Context, i int) ([]byte, error) {
		if len(slots) > 3 {
			t.Error("more calls than slots")
		}
		return appendMark(nil, i), nil
	})
	if err := errors.Join(err, check.done()); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	err = inSlots(t.Context(), slots, Requests{0, 1000}, check.take, func(_ context.Context, i int) ([]byte, error) {
		if i == 7 {
			return nil, broken
		}
		return nil, nil
	})
	if !errors.Is(err, broken) || len(slots) != 0 {
		t.Errorf("%v, %d slots are taken", err, len(slots))
	}
}

func TestCells(t *testing.T) {
	o := Options{InFlight: []int{8, 1024}, Latency: []time.Duration{0, time.Second}, Jobs: []int{1, 100}, Aim: 2 * time.Second}
	var got []int
	for _, c := range o.cells() {
		got = append(got, c.Requests)
		if c.Requests%c.Jobs != 0 {
			t.Errorf("%s: uneven", &c)
		}
	}
	want := []int{16000, 15360, 32, 4096, 16000, 15300, 100, 4000}
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("requests %v, want %v", got, want)
		}
	}
}

func TestFigures(t *testing.T) {
	if got := quantile([]float64{4, 1, 3, 2, 5}, 0.5); got != 3 {
		t.Errorf("median %g", got)
	}
	if got := quantile([]float64{0, 100}, 0.99); got != 99 {
		t.Errorf("p99 %g", got)
	}
	cell := Cell{Requests: 100, Jobs: 2}
	rounds := func(seconds ...float64) (list []sample) {
		for _, s := range seconds {
			list = append(list, sample{seconds: s, used: usage{CPU: s, Allocs: 1000}, ends: []float64{s / 2, s}, model: s / 4, calls: 100})
		}
		return list
	}
	// Ratios are of the same round: never that of the best to the worst.
	p := cell.program("x", rounds(2, 4, 8), rounds(1, 1, 4), rounds(2, 2, 2))
	if p.Ratio != (Spread{0.5, 0.25, 0.5}) || p.RatioTyped != (Spread{0.5, 0.25, 1}) || p.Rate.Median != 25 {
		t.Errorf("%+v", p)
	}
	if p.CPURatio != 2 || p.Allocs != 10 || p.Upstream != 0.25 || p.Calls != 300 || p.Answers != 300 || p.JobSlowest != 4 || p.JobMedian != 3 {
		t.Errorf("%+v", p)
	}
}

// A part that is asked for what it cannot do says so, and goes when told to.
func TestServe(t *testing.T) {
	in := strings.NewReader(`{"role":"upstream"}` + "\n" + `{"do":"dance"}` + "\n" + `{"do":"usage"}` + "\n")
	var out strings.Builder
	if err := Serve(in, &out, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"url":"http://127.0.0.1:`) || !strings.Contains(lines[1], "dance: no such task") || strings.Contains(lines[2], "error") {
		t.Errorf("%q", lines)
	}
	out.Reset()
	if err := Serve(strings.NewReader(`{"role":"cook"}`), &out, nil); err == nil || !strings.Contains(out.String(), "no such part: cook") {
		t.Errorf("%v, %s", err, out.String())
	}
}

// The end of a measurement, wherever it is, leaves no process and no file.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	var started []*exec.Cmd
	_, err = Run(ctx, Options{
		InFlight: []int{2}, Latency: []time.Duration{time.Minute}, Jobs: []int{1}, NATS: []string{Embedded}, Rounds: 1, Requests: 4, Startup: 0,
		Command: func(ctx context.Context, _ ...string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, exe)
			cmd.Env = append(os.Environ(), asPart+"=1")
			started = append(started, cmd)
			if len(started) == 2 { // the first program is about to call, and would wait a minute
				time.AfterFunc(100*time.Millisecond, func() { interrupt(enough) })
			}
			return cmd
		},
		Stderr: os.Stderr, Say: func(string) {},
	})
	if !errors.Is(err, enough) {
		t.Errorf("ended with %v", err)
	}
	for _, cmd := range started {
		if cmd.ProcessState == nil {
			t.Errorf("process %d was not waited for", cmd.Process.Pid)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// asPart makes the test binary be a part.
const asPart = "PELTON_TEST_PART"

func TestMain(m *testing.M) {
	if os.Getenv(asPart) == "" {
		goleak.VerifyTestMain(m)
	}
	if err := Serve(os.Stdin, os.Stdout, nil); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}
