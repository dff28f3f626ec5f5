//go:build (soak || slow) && linux

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// soakFor is how long the mix runs; SOAK sets it.
func soakFor(t *testing.T) time.Duration {
	text := os.Getenv("SOAK")
	if text == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 10*time.Second {
		t.Fatalf("SOAK=%s: must be a duration from 10s", text)
	}
	return d
}

// A steady mix of jobs, and nothing that grows: not the worker's memory,
// goroutines, files and connections, nor the server's, nor its store. Each job is
// removed when it has ended.
func TestSoak(t *testing.T) {
	const samples, limit = 60, 256 << 10
	length := soakFor(t)
	llm, err := faultyllm.New(faultyllm.Config{Latency: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := llm.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = llm.Close() })
	store, dir := t.TempDir(), t.TempDir()
	files := map[string]string{"server": filepath.Join(dir, "server"), "worker": filepath.Join(dir, "worker")}
	srv := testenv.StartProcess(t, testenv.Role{Name: "server", Store: store, MaxPayload: limit, Usage: files["server"]})
	wrk := testenv.StartProcess(t, testenv.Role{Name: "worker", NATS: srv.URL, LLM: llm.URL(), Queues: defaultQueue, Slots: 64, Usage: files["worker"]})

	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	m := &mix{t: t, limit: limit, done: map[string]*atomic.Int64{}}
	kinds := map[string]func(context.Context, *jobs.Client, string) error{
		"small": m.small, "large": m.large, "cancelled": m.cancelled, "failing": m.failing, "fail-fast": m.failFast, "left": m.left, "late": m.late,
	}
	var wg sync.WaitGroup
	for kind, run := range kinds {
		m.done[kind] = new(atomic.Int64)
		nc := testenv.Dial(t, srv.URL)
		client, err := jobs.NewClient(nc)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { m.keepOn(ctx, kind, client, run) })
	}
	table := soakTable{}
	tick := time.NewTicker(length / samples)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			continue
		}
		s, err := srv.Usage(files["server"])
		if err != nil {
			t.Fatal(err)
		}
		w, err := wrk.Usage(files["worker"])
		if err != nil {
			t.Fatal(err)
		}
		table.add(m.total(), s, w, sizeOf(t, store))
	}
	wg.Wait()
	for kind, n := range m.done {
		t.Logf("%d jobs: %s", n.Load(), kind)
		if n.Load() == 0 {
			t.Errorf("no job that is %s", kind)
		}
	}
	t.Log("\n" + table.String())
	for _, problem := range table.growing() {
		t.Error(problem)
	}
}

// mix runs jobs of several kinds, each one after the other.
type mix struct {
	t     *testing.T
	limit int
	done  map[string]*atomic.Int64
}

func (m *mix) total() (n int64) {
	for _, one := range m.done {
		n += one.Load()
	}
	return n
}

func (m *mix) keepOn(ctx context.Context, kind string, client *jobs.Client, run func(context.Context, *jobs.Client, string) error) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%s-%d", kind, n)
		// What has begun is finished, so that each job is removed.
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		err := run(one, client, id)
		if err == nil {
			_, err = client.Job("default", id).Remove(one)
		}
		cancel()
		if err != nil {
			m.t.Errorf("job %s: %v", id, err)
			return
		}
		m.done[kind].Add(1)
	}
}

// wait expects the job to end with the given state.
func (m *mix) wait(ctx context.Context, h *jobs.Handle, want schema.Phase) error {
	state, err := h.Wait(ctx)
	if err == nil && state.State != want {
		err = fmt.Errorf("it is %s, want %s: %+v", state.State, want, state.Counts)
	}
	return err
}

func (m *mix) small(ctx context.Context, client *jobs.Client, id string) error {
	results, err := client.Run(ctx, schema.Job{ID: id, Requests: testenv.Chats(20)})
	if err == nil && len(results) != 20 {
		err = fmt.Errorf("%d results", len(results))
	}
	return err
}

func (m *mix) large(ctx context.Context, client *jobs.Client, id string) error {
	big := strings.Repeat("large ", m.limit/4)
	_, err := client.Run(ctx, schema.Job{ID: id, Requests: []schema.Request{testenv.Chat(big, ""), testenv.Chat("x", `{"answer":"`+big+`"}`)}})
	return err
}

func (m *mix) cancelled(ctx context.Context, client *jobs.Client, id string) error {
	requests := make([]schema.Request, 50)
	for i := range requests {
		requests[i] = testenv.Chat(fmt.Sprint(i), `{"latency_ms":60000}`)
	}
	h, err := client.Submit(ctx, schema.Job{ID: id, Requests: requests})
	if err != nil {
		return err
	}
	for state, err := h.State(ctx); err != nil || state.InFlight == 0; state, err = h.State(ctx) {
		if err != nil || state.State.Final() {
			return errors.Join(err, errors.New("it has ended by itself"))
		}
		if _, err := client.Queues(ctx); err != nil { // a moment passes
			return err
		}
	}
	if err := h.Cancel(ctx, "soak"); err != nil {
		return err
	}
	return m.wait(ctx, h, schema.Cancelled)
}

func (m *mix) failing(ctx context.Context, client *jobs.Client, id string) error {
	requests := testenv.Chats(10)
	requests[3] = testenv.Chat("3", `{"status":400}`)
	requests[4] = testenv.Chat("4", `{"status":500,"times":1}`)
	requests[5] = testenv.Chat("5", `{"fault":"reset","times":1}`)
	h, err := client.Submit(ctx, schema.Job{ID: id, Requests: requests})
	if err != nil {
		return err
	}
	return m.wait(ctx, h, schema.CompletedWithErrors)
}

func (m *mix) failFast(ctx context.Context, client *jobs.Client, id string) error {
	requests := testenv.Chats(50)
	requests[5] = testenv.Chat("5", `{"status":400}`)
	h, err := client.Submit(ctx, schema.Job{ID: id, Requests: requests, FailFast: schema.FailFast{Failures: 1}})
	if err != nil {
		return err
	}
	return m.wait(ctx, h, schema.Failed)
}

// left has readers that stop: one leaves, one hears nothing any more.
func (m *mix) left(ctx context.Context, client *jobs.Client, id string) error {
	reply := "soak.reply." + id
	h, err := client.Submit(ctx, schema.Job{ID: id, Requests: testenv.Chats(40), Reply: reply})
	if err != nil {
		return err
	}
	for _, err := range h.Results(ctx) {
		if err != nil {
			return err
		}
		break
	}
	return m.wait(ctx, h, schema.Succeeded)
}

func (m *mix) late(ctx context.Context, client *jobs.Client, id string) error {
	h, err := client.Submit(ctx, schema.Job{ID: id, Requests: testenv.Chats(15)})
	if err != nil {
		return err
	}
	if err := m.wait(ctx, h, schema.Succeeded); err != nil {
		return err
	}
	n := 0
	for _, err := range h.Ordered(ctx) {
		if err != nil {
			return err
		}
		n++
	}
	if n != 15 {
		return fmt.Errorf("%d results", n)
	}
	return nil
}

// sizeOf is what the files under dir take.
func sizeOf(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return nil // the server removes files meanwhile
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// soakTable is what was seen over time, a row per sample.
type soakTable struct{ rows [][]float64 }

// columns are what is looked at, and by how much each may grow before it counts
// as growing: a share of what it was, and a room on top.
var columns = []struct {
	name        string
	share, room float64
	unit        float64
}{
	{"jobs", -1, 0, 1},
	{"worker MiB", 0.25, 24 << 20, 1 << 20}, {"heap MiB", 0.25, 24 << 20, 1 << 20}, {"goroutines", 0.2, 60, 1}, {"files", 0.2, 12, 1}, {"conns", 0.2, 12, 1},
	{"server MiB", 0.25, 48 << 20, 1 << 20}, {"heap MiB", 0.3, 48 << 20, 1 << 20}, {"goroutines", 0.2, 60, 1}, {"files", 0.2, 24, 1}, {"conns", 0.2, 12, 1},
	{"store MiB", 0.5, 64 << 20, 1 << 20},
}

func (s *soakTable) add(done int64, server, worker testenv.Usage, store int64) {
	row := []float64{float64(done)}
	for _, u := range []testenv.Usage{worker, server} {
		row = append(row, float64(u.Resident), float64(u.Heap), float64(u.Goroutines), float64(u.Files), float64(u.Connections))
	}
	s.rows = append(s.rows, append(row, float64(store)))
}

// halves returns the medians of the two halves behind a warm-up of a fifth.
func (s *soakTable) halves(column int) (first, second float64) {
	rows := s.rows[len(s.rows)/5:]
	median := func(rows [][]float64) float64 {
		var values []float64
		for _, row := range rows {
			values = append(values, row[column])
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return median(rows[:len(rows)/2]), median(rows[len(rows)/2:])
}

func (s *soakTable) growing() (problems []string) {
	if len(s.rows) < 20 {
		return []string{fmt.Sprintf("only %d samples", len(s.rows))}
	}
	for i, c := range columns {
		first, second := s.halves(i)
		switch {
		case c.share < 0 && second <= first:
			problems = append(problems, "the work has stopped")
		case c.share >= 0 && second > first*(1+c.share)+c.room:
			problems = append(problems, fmt.Sprintf("%s (column %d) grows: %.1f, then %.1f", c.name, i+1, first/c.unit, second/c.unit))
		}
	}
	return problems
}

func (s *soakTable) String() string {
	var out strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&out, "%12s", c.name)
	}
	every := max(1, len(s.rows)/20)
	for i, row := range s.rows {
		if i%every != 0 && i != len(s.rows)-1 {
			continue
		}
		out.WriteByte('\n')
		for j, value := range row {
			fmt.Fprintf(&out, "%12.1f", value/columns[j].unit)
		}
	}
	for _, part := range []string{"median of the first half", "of the second"} {
		fmt.Fprintf(&out, "\n%s:\n", part)
		for j := range columns {
			first, second := s.halves(j)
			if part != "of the second" {
				second = first
			}
			fmt.Fprintf(&out, "%12.1f", second/columns[j].unit)
		}
	}
	return out.String()
}

// The table finds what grows, and lets pass what only sways.
func TestSoakTableFindsGrowth(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grows float64 // of the worker's memory per sample
		want  int
	}{{"flat", 0, 0}, {"leak", 4 << 20, 1}} {
		table := soakTable{}
		for i := range 60 {
			u := testenv.Usage{Resident: 100<<20 + int64(i)*int64(tt.grows) + int64(i%7)<<20, Files: 20 + i%3}
			table.add(int64(i), testenv.Usage{Resident: 200 << 20}, u, 50<<20)
		}
		if got := table.growing(); len(got) != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
