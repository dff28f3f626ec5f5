package chaos

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// Deaths is one run of workers that are killed from outside and by requests of
// their own: who is held to be guilty of it?
type Deaths struct {
	Workers  int           // 1 to 3, beside a NATS server
	Every    time.Duration // between two kills, each of a worker that is drawn
	From, To time.Duration // what a call takes
	Poisons  int           // requests whose calls kill the worker that makes them
	Requests int
	AllAt    int // in the place of kills by the clock: so often, all workers at once, with every call open
}

// of each run
const (
	stormTime    = 30 * time.Second // of kills by the clock
	mostInFlight = 64
	poisonPause  = 150 * time.Millisecond // the second poison kills so long after its call, the third twice that
	verdictsTime = 5 * time.Minute        // from the last kill to the end of the job, before it is given up
)

// allDeaths are the runs there are: each n of a seed is one of them.
func allDeaths() (list []Deaths) {
	for _, workers := range []int{1, 2, 3} {
		for k, every := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			list = append(list,
				Deaths{Workers: workers, Every: every, From: 20 * time.Millisecond, To: 500 * time.Millisecond, Requests: 5000},
				Deaths{Workers: workers, Every: every, From: 500 * time.Millisecond, To: 3 * time.Second, Requests: 500},
				Deaths{Workers: workers, Every: every, From: 20 * time.Millisecond, To: 500 * time.Millisecond, Requests: 500, Poisons: k + 1},
			)
		}
		list = append(list, Deaths{Workers: workers, From: 5 * time.Second, To: 5 * time.Second, Requests: mostInFlight, AllAt: 3})
	}
	return list
}

// DeathsOf draws a run.
func DeathsOf(seed uint64, n int) Deaths {
	list := allDeaths()
	order := rand.New(rand.NewPCG(seed, 0)).Perm(len(list))
	return list[order[n%len(list)]]
}

func (d Deaths) String() string {
	when := fmt.Sprintf("a kill every %s", d.Every)
	if d.AllAt > 0 {
		when = fmt.Sprintf("%d kills of all with every call open", d.AllAt)
	}
	return fmt.Sprintf("%d workers, %s, %d calls of %s to %s, %d poisons", d.Workers, when, d.Requests, d.From, d.To, d.Poisons)
}

// DeathsReport is what came of it.
type DeathsReport struct {
	Deaths
	Kills    int           `json:"kills"`      // from outside
	Own      []int         `json:"own_deaths"` // of each poison
	Innocent int           `json:"innocent"`   // requests without a poison that have not succeeded
	Acquit   int           `json:"acquitted"`  // poisons that were not convicted
	Calls    int           `json:"calls"`
	After    time.Duration `json:"after_ns"` // from the last kill to the end of the job
}

// Broken says what of it breaks a promise; empty: nothing.
func (r *DeathsReport) Broken() string {
	switch {
	case r.Innocent > 0:
		return fmt.Sprintf("%d innocent requests have not succeeded", r.Innocent)
	case r.Acquit > 0:
		return fmt.Sprintf("%d requests that kill their workers were not found", r.Acquit)
	case r.AllAt > 0 && r.After > 25*time.Second:
		return fmt.Sprintf("the job went on for %s after the last kill", r.After)
	}
	for _, n := range r.Own {
		if n > 6 {
			return fmt.Sprintf("a request has killed its worker %d times", n)
		}
	}
	return ""
}

// massacre is a round in which workers die.
type massacre struct {
	*round
	d      Deaths
	life   context.Context
	rng    *rand.Rand
	index  map[string]int // of a poison, by its text
	report DeathsReport
	wg     sync.WaitGroup // supervisors, and poisons at work

	mu sync.Mutex // of report.Own
}

// Deaths carries a run out.
func (o *Options) Deaths(ctx context.Context, n int, d Deaths) (rep *DeathsReport, err error) {
	dir := filepath.Join(o.Dir, fmt.Sprintf("deaths-%d", n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(ctx)
	m := &massacre{
		round: &round{n: n, seed: o.Seed, shape: Shape{Workers: d.Workers}, binary: o.Binary, dir: dir, timeout: 30,
			say: func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }},
		d: d, life: life, rng: rand.New(rand.NewPCG(o.Seed, uint64(n))), index: map[string]int{},
		report: DeathsReport{Deaths: d, Own: make([]int, d.Poisons)},
	}
	defer func() {
		end()
		m.wg.Wait()
		if closeErr := m.close(); err == nil {
			err = closeErr
		}
		if err == nil && m.report.Broken() == "" {
			err = os.RemoveAll(dir)
		}
	}()
	m.llm, err = faultyllm.New(faultyllm.Config{Seed: o.Seed, EchoRunes: 60, Identity: m.called})
	if err == nil {
		err = m.llm.Start("")
	}
	if err == nil {
		err = m.begin(ctx)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range m.seats {
		m.wg.Go(func() { m.supervise(s) })
	}
	return &m.report, m.run(ctx)
}

// run submits the job, has workers killed, and counts what has become of its requests.
func (m *massacre) run(ctx context.Context) error {
	h, err := m.client.Submit(ctx, schema.Job{ID: "deaths", Requests: m.requests(), Concurrency: mostInFlight})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = h.Wait(m.life)
	}()
	if m.d.AllAt > 0 {
		err = m.killAll(ctx)
	} else {
		m.kill(ctx, ended)
	}
	if err != nil {
		return err
	}
	last := time.Now()
	select {
	case <-ended:
	case <-time.After(verdictsTime):
		return fmt.Errorf("the job has not ended %s after the last kill", verdictsTime)
	case <-ctx.Done():
		return ctx.Err()
	}
	m.report.After = time.Since(last).Round(100 * time.Millisecond)
	m.report.Calls = m.llm.Stats().Calls
	return m.count(ctx, h)
}

func (m *massacre) count(ctx context.Context, h *jobs.Handle) error {
	found := 0
	for r, err := range h.Ordered(ctx) {
		if err != nil {
			return err
		}
		poison := m.poisonAt(r.Index) >= 0
		switch {
		case poison && r.Error != nil && r.Error.Code == schema.CodeWorkerDied:
			found++
		case !poison && r.Status != schema.StatusSucceeded:
			m.report.Innocent++
			m.say("request %d: %s, %v", r.Index, r.Status, r.Err())
		}
	}
	m.report.Acquit = m.d.Poisons - found
	return nil
}

// poisonAt tells which poison a request is; -1: none.
func (m *massacre) poisonAt(index int) int {
	for k := range m.d.Poisons {
		if index == (k+1)*m.d.Requests/(m.d.Poisons+1)/2 {
			return k
		}
	}
	return -1
}

func (m *massacre) requests() []schema.Request {
	list := make([]schema.Request, m.d.Requests)
	for i := range list {
		takes := m.d.From
		if m.d.To > m.d.From {
			takes += time.Duration(m.rng.Int64N(int64(m.d.To - m.d.From)))
		}
		text := label("deaths", i)
		if k := m.poisonAt(i); k >= 0 {
			text, takes = poisonText(k), time.Minute // which it does not live through
		}
		list[i].Body = fmt.Appendf(nil, `{"model":"m","messages":[{"role":"user","content":%q}],"mock":{"latency_ms":%d}}`, text, takes.Milliseconds())
	}
	return list
}

func poisonText(k int) string { return fmt.Sprintf("poison %d ", k) }

// called hears of each call, and lets a poison do its work.
func (m *massacre) called(r *http.Request, body []byte) string {
	name := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for k := range m.d.Poisons {
		if !bytes.Contains(body, []byte(poisonText(k))) {
			continue
		}
		m.wg.Go(func() {
			rest(m.life, time.Duration(k)*poisonPause)
			for !m.strikeDown(name) { // it may make calls before it is known to be ready
				if rest(m.life, 5*time.Millisecond); m.life.Err() != nil || !m.lives(name) {
					return
				}
			}
			m.mu.Lock()
			m.report.Own[k]++
			m.mu.Unlock()
		})
	}
	return name
}

// lives reports whether a life of a worker is the present one of its seat.
func (m *massacre) lives(name string) bool {
	m.round.mu.Lock()
	defer m.round.mu.Unlock()
	return slices.ContainsFunc(m.seats, func(s *seat) bool { return s.name == name })
}

// strikeDown kills a life of a worker, and reports whether it was there.
func (m *massacre) strikeDown(name string) bool {
	for _, s := range m.seats {
		m.round.mu.Lock()
		proc, mine := s.proc, s.name == name
		m.round.mu.Unlock()
		if !mine || proc == nil || m.life.Err() != nil {
			continue
		}
		select {
		case <-proc.Gone():
			return false
		default:
			proc.Kill()
			return true
		}
	}
	return false
}

// supervise starts a worker again whenever it has died.
func (m *massacre) supervise(s *seat) {
	for {
		m.round.mu.Lock()
		proc := s.proc
		m.round.mu.Unlock()
		select {
		case <-proc.Gone():
		case <-m.life.Done():
			return
		}
		if err := m.startSeat(m.life, s); err != nil {
			if m.life.Err() == nil {
				m.say("worker %d does not start again: %v", s.n, err)
			}
			return
		}
	}
}

// kill kills workers by the clock until the storm is over, or the job.
func (m *massacre) kill(ctx context.Context, ended <-chan struct{}) {
	tick := time.NewTicker(m.d.Every)
	defer tick.Stop()
	over := time.After(stormTime)
	for {
		select {
		case <-tick.C:
			m.round.mu.Lock()
			name := m.seats[m.rng.IntN(len(m.seats))].name
			m.round.mu.Unlock()
			if m.strikeDown(name) {
				m.report.Kills++
			}
		case <-over:
			return
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// killAll kills all workers at once, each time when every call is open.
func (m *massacre) killAll(ctx context.Context) error {
	for range m.d.AllAt {
		waiting, cancel := context.WithTimeout(ctx, time.Minute)
		err := m.llm.Wait(waiting, func(s faultyllm.Stats) bool { return s.InFlight == m.d.Requests })
		cancel()
		if err != nil {
			return fmt.Errorf("wait until all calls are open: %w", err)
		}
		var wg sync.WaitGroup
		for _, s := range m.seats {
			m.round.mu.Lock()
			name := s.name
			m.round.mu.Unlock()
			wg.Go(func() { m.strikeDown(name) })
			m.report.Kills++
		}
		wg.Wait()
	}
	return nil
}

// Deadly runs so many of a seed's runs, and reports what promises they broke.
func (o *Options) Deadly(ctx context.Context, first, runs int) (list []DeathsReport, broken []string, err error) {
	for n := first; n < first+runs; n++ {
		d := DeathsOf(o.Seed, n)
		rep, err := o.Deaths(ctx, n, d)
		if err != nil {
			return list, broken, fmt.Errorf("run %d (%s): %w", n, d, err)
		}
		list = append(list, *rep)
		verdict := rep.Broken()
		fmt.Fprintf(o.Out, "deaths %d: %s: %d kills, own deaths of poisons %v, %d calls, ended %.1f s after the last kill, %d innocent convicted %s\n",
			n, d, rep.Kills, rep.Own, rep.Calls, rep.After.Seconds(), rep.Innocent, verdict)
		if verdict != "" {
			broken = append(broken, fmt.Sprintf("run %d (%s): %s", n, d, verdict))
		}
	}
	return list, broken, nil
}
