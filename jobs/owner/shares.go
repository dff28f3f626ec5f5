package owner

import (
	"slices"
	"sync"
	"time"

	"pelton/jobs/store"
)

// shares divides a queue's cap among its live jobs, so that a large job does
// not put itself in front of a small one. Every owner tells in its progress
// messages how many requests its job could use now; from those, each process
// works out the same division.
type shares struct {
	mu   sync.Mutex
	cap  int
	jobs map[string]*jobShare // by job id
}

// jobShare is what one job could have in flight now.
type jobShare struct {
	demand  int
	seenAt  time.Time // of a job that another process owns; zero for our own
	allowed int
	wake    func() // called when allowed has grown; nil for others' jobs
}

// stale is how long another process's word on a job counts; it is renewed
// with every heartbeat.
const stale = 3 * store.Heartbeat

func newShares(limit int) *shares { return &shares{cap: limit, jobs: map[string]*jobShare{}} }

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
func (s *shares) set(job string, demand int, wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed := 0
	if d := s.jobs[job]; d != nil {
		if d.wake != nil && (d.demand == demand || min(d.demand, demand) > d.allowed) {
			// More than it is allowed, before and after: nobody's share changes.
			d.demand, d.wake = demand, wake
			return
		}
		allowed = d.allowed
	}
	s.jobs[job] = &jobShare{demand: demand, wake: wake, allowed: allowed}
	s.divide()
}

// setOther notes what another process says of its job.
func (s *shares) setOther(job string, demand int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch d := s.jobs[job]; {
	case d != nil && d.wake != nil:
		return // it is ours
	case demand <= 0:
		delete(s.jobs, job)
	case d != nil && d.demand == demand:
		d.seenAt = now
		return
	default:
		s.jobs[job] = &jobShare{demand: demand, seenAt: now}
	}
	s.divide()
}

func (s *shares) remove(job string) {
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
		if d.wake == nil && now.Sub(d.seenAt) > stale {
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
		return d.allowed
	}
	return 0
}

// divide gives every job what it wants as far as that fits, and the rest in
// equal parts to those that want more. The slack on top keeps workers busy
// while a freed place makes its way from the worker to the owner and back.
// Called with mu held.
func (s *shares) divide() {
	byDemand := make([]*jobShare, 0, len(s.jobs))
	for _, d := range s.jobs {
		byDemand = append(byDemand, d)
	}
	slices.SortFunc(byDemand, func(a, b *jobShare) int { return a.demand - b.demand })
	left, slack := s.cap, max(1, s.cap/8)
	for i, d := range byDemand {
		fair := left / (len(byDemand) - i)
		left -= min(d.demand, fair)
		before := d.allowed
		d.allowed = min(d.demand, max(1, fair+slack))
		if d.allowed > before && d.wake != nil {
			d.wake()
		}
	}
}
