package progress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"pelton/internal/human"
	"pelton/schema"
)

func TestMain(m *testing.M) {
	os.Unsetenv("NO_COLOR")
	goleak.VerifyTestMain(m)
}

func running(done, failed int) schema.State {
	eta := 72.0
	return schema.State{ID: "nightly", State: schema.Running, Total: 1319, InFlight: 64, Rate: 12.34, ETASeconds: &eta,
		Counts: schema.Counts{Succeeded: done, Failed: failed}, Usage: &schema.Usage{PromptTokens: 120_000, CompletionTokens: 3_400}}
}

func lineAt(width int, s schema.State, o Options) string {
	o.Width = func() int { return width }
	if o.Now == nil {
		o.Now = func() time.Time { return time.Unix(0, 0) }
	}
	p := &Printer{o: o, state: &s, at: o.Now()}
	return p.barLine()
}

func TestBarFits(t *testing.T) {
	for _, test := range []struct {
		width int
		want  string
	}{
		{140, "30% [===========>                            ] 408/1,319, 8 failed, 64 in flight, 12/s, 123.4k tokens, 1m 12s left"},
		{100, "30% [=======>                 ] 408/1,319, 8 failed, 64 in flight, 12/s, 123.4k tokens, 1m 12s left"},
		{80, "30% [======>               ] 408/1,319, 8 failed, 64 in flight, 12/s, 1m 12s left"},
		{60, "30% [====>           ] 408/1,319, 8 failed, 12/s, 1m 12s left"},
		{40, "30% [==>       ] 408/1,319, 8 failed"},
		{25, "30% [>    ] 408/1,319"},
		{22, "408/1,319"},
		{5, "408/"},
		{0, ""},
	} {
		got := lineAt(test.width, running(400, 8), Options{NoColor: true})
		got, cleared := strings.CutPrefix(got, clearLine)
		if !cleared || len(got) >= max(test.width, 1) {
			t.Errorf("%d columns: %q has %d", test.width, got, len(got))
		}
		if test.width == 140 || test.width < 60 {
			if got != test.want {
				t.Errorf("%d columns:\ngot  %q\nwant %q", test.width, got, test.want)
			}
		}
	}
	// Whatever the width, the line fits, and nothing is left of the last one.
	for width := range 200 {
		for done := 0; done <= 1319; done += 97 {
			got := lineAt(width, running(done, 0), Options{NoColor: true})
			if n := len(strings.TrimPrefix(got, clearLine)); n >= max(width, 1) || strings.Contains(got, "\n") {
				t.Errorf("%d columns: %q has %d", width, got, n)
			}
		}
	}
}

func TestBarStates(t *testing.T) {
	queued := schema.State{State: schema.Queued, Total: 10}
	if got := lineAt(80, queued, Options{}); !strings.HasSuffix(got, "0/10, waiting to start") {
		t.Errorf("%q", got)
	}
	if got := lineAt(80, running(1319, 0), Options{}); !strings.Contains(got, "100% [====") || strings.Contains(got, ">") {
		t.Errorf("%q", got)
	}
	if got := lineAt(80, running(1318, 0), Options{}); !strings.Contains(got, " 99% ") && !strings.Contains(got, "K99% ") {
		t.Errorf("%q", got)
	}
	if got := lineAt(80, schema.State{State: schema.Running}, Options{}); !strings.Contains(got, "0/0") {
		t.Errorf("%q", got)
	}
	if got := lineAt(120, running(1, 1), Options{}); !strings.Contains(got, "\033[31m1 failed\033[0m") {
		t.Errorf("%q", got)
	}
	ending := running(1, 0)
	ending.State, ending.Counts.Cancelled, ending.Counts.Expired = schema.Cancelled, 3, 1
	if got := lineAt(120, ending, Options{NoColor: true}); !strings.HasSuffix(got, " 5/1,319, 3 cancelled, 1 expired, 12/s, 123.4k tokens") {
		t.Errorf("%q", got)
	}
	if got := lineAt(120, running(81, 0), Options{Before: 100}); !strings.Contains(got, "181/1,419") {
		t.Errorf("%q", got)
	}
}

// Why a job waits stands in the line, and the upstream's own words once.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		p := New(Options{Out: out, Mode: Plain})
		s := running(400, 0)
		s.Waiting = []schema.Waiting{{Model: "small", Count: 1312, Until: time.Now().Add(time.Minute), Cause: "429", Reason: "small-1 cools down: slow down, please"}}
		for range 60 {
			s.Waiting = slices.Clone(s.Waiting) // the printer has the last one
			s.Waiting[0].Until = s.Waiting[0].Until.Add(time.Second)
			p.Update(s)
			time.Sleep(time.Second)
		}
		p.Close()
		text := out.String()
		if n := strings.Count(text, "slow down, please"); n != 1 {
			t.Errorf("said %d times why:\n%s", n, text)
		}
		if n := strings.Count(text, "64 in flight, 1,312 wait for small (429 until "); n < 5 {
			t.Errorf("%d lines tell of it:\n%s", n, text)
		}
	})
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		p := New(Options{Out: out, Mode: Auto}) // no terminal
		time.Sleep(50 * time.Millisecond)       // so that no update falls on a tick
		for i := range 100 {
			p.Update(running(i, 1))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		// Nothing comes any more: the line comes all the same.
		time.Sleep(10 * time.Second)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Errorf("%d lines in 20 s:\n%s", len(lines), out)
		}
		if want := "progress: 50/1,319, 1 failed, 64 in flight, 12/s, 123.4k tokens, 1m 12s left"; lines[0] != want {
			t.Errorf("got  %s\nwant %s", lines[0], want)
		}
		if want := "1m 2s left"; !strings.HasSuffix(lines[3], want) {
			t.Errorf("got %s, want …%s", lines[3], want)
		}
		p.Close()
		p.Close()
	})
}

func TestBarIsDrawnSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		p := New(Options{Out: out, Mode: Bar, NoColor: true})
		for i := range 1000 {
			p.Update(running(i, 0))
			time.Sleep(time.Millisecond)
		}
		if n := strings.Count(out.String(), clearLine); n < 9 || n > 11 {
			t.Errorf("drawn %d times in a second", n)
		}
		synctest.Wait()
		before := len(out.String())
		fmt.Fprintln(p, "a line of a log")
		if got := out.String()[before:]; !strings.HasPrefix(got, clearLine+"a line of a log\n"+clearLine) || !strings.Contains(got, "/1,319") {
			t.Errorf("%q", got)
		}
		p.Close()
		if !strings.HasSuffix(out.String(), clearLine) {
			t.Error("the bar is left behind")
		}
		before = len(out.String())
		p.Update(running(1, 1))
		fmt.Fprintln(p, "later")
		if got := out.String()[before:]; got != "later\n" {
			t.Errorf("after Close: %q", got)
		}
	})
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &buffer{}
		p := New(Options{Out: out, Mode: JSON})
		for i := range 20 {
			p.Update(running(i, 0))
			time.Sleep(100 * time.Millisecond)
		}
		s := running(1319, 0)
		s.State = schema.Succeeded
		p.Finish(s)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 && len(lines) != 4 {
			t.Errorf("%d lines in 2 s", len(lines))
		}
		var last schema.State
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.State != schema.Succeeded {
			t.Errorf("%v: %+v", err, last)
		}
	})
}

func TestNone(t *testing.T) {
	out := &buffer{}
	p := New(Options{Out: out, Mode: None})
	p.Update(running(1, 1))
	p.Finish(running(1, 1))
	if out.String() != "" {
		t.Error(out)
	}
	fmt.Fprint(p, "a log line\n")
	if out.String() != "a log line\n" {
		t.Error(out)
	}
}

func TestSummary(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	end := start.Add(72 * time.Second)
	cost := 0.1234
	final := running(998, 2)
	final.State, final.StartedAt, final.FinishedAt, final.Cost, final.Total = schema.CompletedWithErrors, &start, &end, &cost, 1000
	final.Errors = []schema.ErrorCount{{Code: "timeout", Count: 1, FirstIndex: 20}, {Code: "rate_limit_exceeded", Count: 3, FirstIndex: 17}}

	stopped := schema.State{ID: "x", State: schema.Failed, Total: 5000, StartedAt: &start, FinishedAt: &end,
		Counts: schema.Counts{Succeeded: 10, Failed: 1, Cancelled: 8, Expired: 1, NotStarted: 4980},
		Reason: &schema.Reason{Code: schema.ReasonFailFast, Message: "1 failed"}}
	for i := range 7 {
		stopped.Errors = append(stopped.Errors, schema.ErrorCount{Code: fmt.Sprintf("e%d", i), Count: 1, FirstIndex: i})
	}
	going := running(400, 0)
	going.StartedAt = &start

	unsure := final
	unsure.Errors, unsure.UnknownAttempts, unsure.UnpricedAttempts = nil, 1200, 1
	untold := unsure
	untold.Usage, untold.Cost = nil, nil
	priceless := final
	priceless.Errors, priceless.Cost, priceless.UnpricedAttempts = nil, nil, 998

	partly := final
	partly.Errors, partly.Cost, partly.Incomplete = nil, nil, 1200

	for _, test := range []struct {
		state schema.State
		o     Options
		want  string
	}{
		{partly, Options{}, "nightly: completed with errors after 1m 12s\n  998 succeeded, 2 failed\n  14/s, 120,000 prompt + 3,400 completion tokens\n" +
			"  1,200 of the answers cut at their length or by a filter: results with \"incomplete\"\n"},
		{unsure, Options{}, "nightly: completed with errors after 1m 12s\n  998 succeeded, 2 failed\n  14/s, at least 120,000 prompt + 3,400 completion tokens, " +
			"at least $0.1234, 1,200 calls of unknown usage, 1 call of unknown price\n"},
		{untold, Options{}, "nightly: completed with errors after 1m 12s\n  998 succeeded, 2 failed\n  14/s, 1,200 calls of unknown usage\n"},
		{priceless, Options{}, "nightly: completed with errors after 1m 12s\n  998 succeeded, 2 failed\n  14/s, 120,000 prompt + 3,400 completion tokens\n"},
		{final, Options{}, "nightly: completed with errors after 1m 12s\n  998 succeeded, 2 failed\n  14/s, 120,000 prompt + 3,400 completion tokens, $0.1234\n" +
			"  3 × rate_limit_exceeded, first at index 17\n  1 × timeout, first at index 20\n"},
		{stopped, Options{Before: 1000}, "x: failed after 1m 12s (fail_fast: 1 failed)\n  10 succeeded, 1 failed, 8 cancelled, 1 expired, 4,980 not started, 1,000 done before\n  0.3/s\n" +
			"  1 × e0, first at index 0\n  1 × e1, first at index 1\n  1 × e2, first at index 2\n  1 × e3, first at index 3\n  1 × e4, first at index 4\n  and 2 more error codes\n"},
		{going, Options{}, "nightly: running\n  400 succeeded, 919 not done yet\n  5.6/s, 120,000 prompt + 3,400 completion tokens\n"},
	} {
		out := &buffer{}
		test.o.Out, test.o.Mode, test.o.Now = out, Plain, func() time.Time { return end }
		p := New(test.o)
		p.Finish(test.state)
		p.Finish(test.state)
		if got := out.String(); got != test.want {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}

	out := &buffer{}
	p := New(Options{Out: out, Mode: Bar})
	p.Update(running(3, 0))
	p.Finish(final)
	if got := out.String(); !strings.Contains(got, "1,000/1,000, ") || !strings.HasSuffix(got, "index 20\n") || !strings.Contains(got, "\nnightly: completed") {
		t.Errorf("%q", got)
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]Mode{"": Auto, "auto": Auto, "bar": Bar, "plain": Plain, "json": JSON, "none": None} {
		if m, err := ParseMode(text); m != want || err != nil {
			t.Errorf("%q: %v, %v", text, m, err)
		}
	}
	if _, err := ParseMode("dots"); err == nil {
		t.Error("dots")
	}
}

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(999): "999", number(1000): "1,000", number(1234567): "1,234,567",
		short(999): "999", short(1500): "1.5k", short(2_000_000): "2.0M", short(3_210_000_000): "3.2G",
		rate(1234.5): "1,235/s", rate(0.25): "0.2/s", rate(0.05): "3.0/min",
		duration(0): "0s", duration(1500 * time.Millisecond): "1.5s", duration(59 * time.Second): "59s", duration(time.Hour): "1h",
		duration(3*time.Hour + 5*time.Minute): "3h 5m", duration(50 * time.Hour): "2d 2h", human.Money(12.345): "$12.35",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNoColor(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	out := &buffer{}
	p := New(Options{Out: out, Mode: Bar})
	p.Update(running(1, 1))
	p.Close()
	if strings.Contains(out.String(), "\033[31m") {
		t.Errorf("%q", out)
	}
}
