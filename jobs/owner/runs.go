package owner

import (
	"sync"

	"pelton/jobs/store"
)

// runs are the jobs in the hands of this process. It is safe for concurrent use.
type runs struct {
	mu   sync.Mutex
	jobs map[store.JobKey]*run
}

// of returns the run of a job, nil where the job is not in hand.
func (s *runs) of(job store.JobKey) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[job]
}

// add makes a job known to this process's workers.
func (s *runs) add(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs == nil {
		s.jobs = map[store.JobKey]*run{}
	}
	s.jobs[r.rec.Key()] = r
}

// remove forgets a job, and reports whether r was its run: else this process has taken
// the job anew.
func (s *runs) remove(r *run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.rec.Key()
	last := s.jobs[key] == r
	if last {
		delete(s.jobs, key)
	}
	return last
}
