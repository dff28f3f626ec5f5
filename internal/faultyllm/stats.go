package faultyllm

import (
	"context"
	"encoding/hex"
	"maps"
	"time"
)

// Stats is the record at one moment.
type Stats struct {
	// Since is when the server was made or last reset.
	Since time.Time `json:"since"`

	// Calls have arrived, of whatever outcome, refused ones included. A call
	// arrives when its body has been read.
	Calls int `json:"calls"`

	// InFlight calls have arrived and not ended; Peak is the most there were.
	// Refused calls count: the peak shows what the client does, not what
	// MaxParallel lets through.
	InFlight int `json:"in_flight"`
	Peak     int `json:"peak"`

	// CallsByModel and PeakByModel are Calls and Peak of each model named.
	// Calls whose model could not be read count under "".
	CallsByModel map[string]int `json:"calls_by_model"`
	PeakByModel  map[string]int `json:"peak_by_model"`

	// Identities is how many different requests were seen, Untracked how many
	// calls came after MaxIdentities was reached.
	Identities int `json:"identities"`
	Untracked  int `json:"untracked"`

	// Duplicates are calls of a request after its first call, for whatever
	// reason, such as a retry after a 429.
	Duplicates int `json:"duplicates"`

	// Answered calls got a whole answer of status 2xx, malformed ones included;
	// DuplicateAnswers are those whose request had got one before.
	Answered         int `json:"answered"`
	DuplicateAnswers int `json:"duplicate_answers"`

	// Aborted calls ended because the client went away before its answer.
	Aborted int `json:"aborted"`

	// Refused calls were over RateLimit or MaxParallel.
	Refused int `json:"refused"`

	// Statuses counts answers by status; 0 stands for no whole answer: a
	// client gone, a hang, a reset, a closed connection.
	Statuses map[int]int `json:"statuses"`

	// Faults counts the calls that met each fault, by draw, script or outage.
	Faults map[Fault]int `json:"faults"`

	// Misrouted requests asked for a path that does not exist, such as one
	// without /v1. They are not among Calls.
	Misrouted int `json:"misrouted"`
}

// Call is one call of the record.
type Call struct {
	Path     string    `json:"path"`
	Model    string    `json:"model"`
	Identity string    `json:"identity"`
	Number   int       `json:"number"` // among the calls of its identity, from 1 on
	Start    time.Time `json:"start"`
	End      time.Time `json:"end,omitzero"` // zero while in flight
	Status   int       `json:"status"`       // 0: no whole answer
	Fault    Fault     `json:"fault,omitempty"`
	Aborted  bool      `json:"aborted,omitempty"`

	// Billed are the tokens that it is billed for: those that its answer counts, and
	// where it did not come, at least the prompt's. A call that is refused, or answered
	// with an error status, costs nothing.
	Billed int `json:"billed,omitempty"`
}

// Stats reports the record. Like all methods of Server it may be called
// concurrently with calls; the result is a copy.
func (s *Server) Stats() Stats {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	return s.rec.stats()
}

func (r *record) stats() Stats {
	st := Stats{
		Since: r.since, Calls: r.calls, InFlight: r.inFlight, Peak: r.peak,
		CallsByModel: make(map[string]int, len(r.models)),
		PeakByModel:  make(map[string]int, len(r.models)),
		Identities:   len(r.idents), Untracked: r.untracked,
		Duplicates: r.duplicates, Answered: r.answered, DuplicateAnswers: r.reanswered,
		Aborted: r.aborted, Refused: r.refused, Misrouted: r.misrouted,
		Statuses: map[int]int{},
		Faults:   make(map[Fault]int, len(r.faults)),
	}
	for name, m := range r.models {
		st.CallsByModel[name], st.PeakByModel[name] = m.calls, m.peak
	}
	for status, n := range r.statuses {
		if n > 0 {
			st.Statuses[status] = n
		}
	}
	maps.Copy(st.Faults, r.faults)
	return st
}

// Wait returns nil as soon as the record meets cond, or the error of ctx if
// that ends first. cond sees the record after changes, though not after each
// single one; it must not call methods of the server.
func (s *Server) Wait(ctx context.Context, cond func(Stats) bool) error {
	r := s.rec
	for {
		r.mu.Lock()
		if cond(r.stats()) {
			r.mu.Unlock()
			return nil
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Reset forgets the record, as if no call had been made, so that a run over the
// same requests meets the same faults again. Calls in flight stay in flight and
// are not counted otherwise when they end. The settings stay as they are.
func (s *Server) Reset() { s.rec.reset() }

// CallsOf reports how many calls a request has had, by its identity: the
// result of [IdentityOf], or the name given by a key or Config.Identity.
func (s *Server) CallsOf(identity string) int {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	if i := s.rec.idents[namedIdentity(identity)]; i != nil {
		return i.calls
	}
	return 0
}

// StatusesOf reports the statuses of the calls of a request that have ended, in
// the order of their ends. 0 stands for no whole answer.
func (s *Server) StatusesOf(identity string) []int {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	i := s.rec.idents[namedIdentity(identity)]
	if i == nil {
		return nil
	}
	out := make([]int, len(i.statuses))
	for k, status := range i.statuses {
		out[k] = int(status)
	}
	return out
}

// Identities reports how many calls each request has had.
func (s *Server) Identities() map[string]int {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	out := make(map[string]int, len(s.rec.idents))
	for id, i := range s.rec.idents {
		name := i.name
		if name == "" {
			name = hex.EncodeToString(id[:])
		}
		out[name] = i.calls
	}
	return out
}

// Calls reports the last KeepCalls calls in the order of their arrival.
func (s *Server) Calls() []Call {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	out := make([]Call, 0, len(s.rec.list.buf))
	for _, c := range s.rec.list.all() {
		out = append(out, *c)
	}
	return out
}

// Bodies reports the last KeepBodies request bodies in the order of arrival.
// They must not be changed.
func (s *Server) Bodies() [][]byte {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	return s.rec.bodies.all()
}

// Arrivals reports when the last KeepTimes calls arrived, in ascending order.
func (s *Server) Arrivals() []time.Time {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	return s.rec.times.all()
}
