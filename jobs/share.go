package jobs

import (
	"slices"
	"sync"
	"time"
)

// shares divides a queue's cap among its live jobs, so that a large job does
// not put itself in front of a small one. Every owner tells in its progress
// messages how many requests its job could use now; from those, each process
// works out the same division.
type shares struct {
	mu   sync.Mutex
	cap  int
	jobs map[string]*demand // by job id
}

// demand is what one job could have in flight now.
type demand struct {
	wanted int
	seen   time.Time // of a job that another process owns; zero for our own
	allow  int
	wake   func() // called when allow has grown; nil for others' jobs
}

// stale is how long another process's word on a job counts; it is renewed
// with every heartbeat.
const stale = 3 * Heartbeat

func newShares(limit int) *shares { return &shares{cap: limit, jobs: map[string]*demand{}} }

func (s *shares) setCap(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && n != s.cap {
		s.cap = n
		s.divide()
	}
}

// set says what a job of ours could use; wake is called, from any goroutine,
// when its share has grown.
func (s *shares) set(job string, wanted int, wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	allow := 0
	if d := s.jobs[job]; d != nil {
		if d.wake != nil && (d.wanted == wanted || min(d.wanted, wanted) > d.allow) {
			// More than it is allowed, before and after: nobody's share changes.
			d.wanted, d.wake = wanted, wake
			return
		}
		allow = d.allow
	}
	s.jobs[job] = &demand{wanted: wanted, wake: wake, allow: allow}
	s.divide()
}

// heard notes what another process says of its job.
func (s *shares) heard(job string, wanted int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch d := s.jobs[job]; {
	case d != nil && d.wake != nil:
		return // it is ours
	case wanted <= 0:
		delete(s.jobs, job)
	case d != nil && d.wanted == wanted:
		d.seen = now
		return
	default:
		s.jobs[job] = &demand{wanted: wanted, seen: now}
	}
	s.divide()
}

func (s *shares) drop(job string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, job)
	s.divide()
}

// sweep forgets others' jobs that have gone silent.
func (s *shares) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.jobs)
	for job, d := range s.jobs {
		if d.wake == nil && now.Sub(d.seen) > stale {
			delete(s.jobs, job)
		}
	}
	if len(s.jobs) != before {
		s.divide()
	}
}

// of returns how many requests of a job of ours may be fed and unstored now.
func (s *shares) of(job string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.jobs[job]; d != nil {
		return d.allow
	}
	return 0
}

// divide gives every job what it wants as far as that fits, and the rest in
// equal parts to those that want more. The slack on top keeps workers busy
// while a freed place makes its way from the worker to the owner and back.
// Called with mu held.
func (s *shares) divide() {
	byWant := make([]*demand, 0, len(s.jobs))
	for _, d := range s.jobs {
		byWant = append(byWant, d)
	}
	slices.SortFunc(byWant, func(a, b *demand) int { return a.wanted - b.wanted })
	left, slack := s.cap, max(1, s.cap/8)
	for i, d := range byWant {
		fair := left / (len(byWant) - i)
		left -= min(d.wanted, fair)
		before := d.allow
		d.allow = min(d.wanted, max(1, fair+slack))
		if d.allow > before && d.wake != nil {
			d.wake()
		}
	}
}
