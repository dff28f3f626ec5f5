package faultyllm

import (
	"encoding/hex"
	"sort"
	"sync"
	"time"
)

// record is the server's memory. A call takes its lock twice, in arrive and in
// leave, and each time only counts: nothing is encoded or copied under it but
// what the Keep fields of Config ask for.
type record struct {
	mu sync.Mutex

	// epoch tells calls that began before a reset, which must not be counted
	// again when they end.
	epoch int
	since time.Time

	calls, inFlight, peak int
	serving               int // in flight and admitted, for MaxParallel
	aborted, refused      int
	duplicates            int
	answered, reanswered  int
	untracked             int
	misrouted             int

	statuses [600]int // 0: no whole answer
	faults   map[Fault]int
	models   map[string]*modelRecord
	idents   map[identity]*identRecord

	admitted ring[time.Time] // for RateLimit
	bodies   ring[[]byte]
	times    ring[time.Time]
	list     ring[*Call]

	changed chan struct{} // closed at the next change; nil when nobody waits
}

type modelRecord struct{ calls, inFlight, peak int }

// identRecord is kept small: a load test makes millions of them.
type identRecord struct {
	name     string // "" when the identity is a hash of the body
	calls    int
	answered bool
	statuses []uint16
}

func newRecord() *record {
	return &record{
		since:  time.Now(),
		faults: map[Fault]int{},
		models: map[string]*modelRecord{},
		idents: map[identity]*identRecord{},
	}
}

// ticket is what a call holds between arrive and leave.
type ticket struct {
	epoch    int
	number   int // this call among those of its identity, from 1 on
	admitted bool
	ident    *identRecord
	model    *modelRecord
	kept     *Call
}

// admission is the answer of the two limits to a call.
type admission struct {
	refused   bool
	rated     bool          // whether RateLimit was looked at; if so:
	wait      time.Duration // until the rate limit has room again
	remaining int           // calls left in the window
	reset     time.Duration // until the window is empty
}

// arrival describes a call to arrive.
type arrival struct {
	id    identity
	name  string // of the identity, if it is not a hash of the body
	model []byte
	path  string
	body  []byte
	admit bool // whether the call is to pass the limits, and not refused anyway
}

func (r *record) arrive(a *arrival, set *settings) (t ticket, adm admission) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Read under the lock, so that times in the record never run backwards.
	now := time.Now()

	t.epoch = r.epoch
	r.calls++
	r.inFlight++
	r.peak = max(r.peak, r.inFlight)

	t.ident = r.idents[a.id]
	if t.ident == nil {
		t.ident = &identRecord{name: a.name}
		if set.MaxIdentities < 0 || len(r.idents) < set.MaxIdentities {
			r.idents[a.id] = t.ident
		} else {
			r.untracked++
		}
	}
	t.ident.calls++
	t.number = t.ident.calls
	if t.number > 1 {
		r.duplicates++
	}

	t.model = r.models[string(a.model)]
	if t.model == nil {
		t.model = &modelRecord{}
		r.models[string(a.model)] = t.model
	}
	t.model.calls++
	t.model.inFlight++
	t.model.peak = max(t.model.peak, t.model.inFlight)

	if a.admit {
		adm = r.admit(now, set)
		if t.admitted = !adm.refused; t.admitted {
			r.serving++
		} else {
			r.refused++
		}
	}

	if set.KeepTimes > 0 {
		r.times.push(now, set.KeepTimes)
	}
	if set.KeepBodies > 0 {
		r.bodies.push(append([]byte(nil), a.body...), set.KeepBodies)
	}
	if set.KeepCalls > 0 {
		t.kept = &Call{Path: a.path, Model: string(a.model), Identity: a.name, Number: t.number, Start: now}
		if a.name == "" {
			t.kept.Identity = hex.EncodeToString(a.id[:])
		}
		r.list.push(t.kept, set.KeepCalls)
	}
	r.notify()
	return t, adm
}

// admit applies MaxParallel, then RateLimit.
func (r *record) admit(now time.Time, set *settings) (adm admission) {
	if set.MaxParallel > 0 && r.serving >= set.MaxParallel {
		return admission{refused: true}
	}
	limit := set.RateLimit
	if limit <= 0 {
		return adm
	}
	adm.rated = true
	// A call enters if the one admitted `limit` calls ago has left the window.
	w := &r.admitted
	if n := len(w.buf); n >= limit {
		if age := now.Sub(w.at(n - limit)); age < set.RateWindow {
			adm.refused, adm.wait = true, set.RateWindow-age
		}
	}
	if !adm.refused {
		w.push(now, limit)
	}
	n := len(w.buf)
	gone := sort.Search(n, func(i int) bool { return now.Sub(w.at(i)) < set.RateWindow })
	adm.remaining = max(0, limit-(n-gone))
	if n > 0 {
		adm.reset = max(0, set.RateWindow-now.Sub(w.at(n-1)))
	}
	return adm
}

// leave ends a call. status is 0 when the client gets no whole answer.
func (r *record) leave(t *ticket, status int, fault Fault, aborted bool, billed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	t.model.inFlight--
	if t.admitted {
		r.serving--
	}
	if t.kept != nil {
		t.kept.End, t.kept.Status, t.kept.Fault, t.kept.Aborted, t.kept.Billed = time.Now(), status, fault, aborted, billed
	}
	defer r.notify()
	if t.epoch != r.epoch {
		return
	}
	r.statuses[status]++
	t.ident.statuses = append(t.ident.statuses, uint16(status))
	if aborted {
		r.aborted++
	}
	if fault != "" {
		r.faults[fault]++
	}
	if status >= 200 && status < 300 {
		r.answered++
		if t.ident.answered {
			r.reanswered++
		}
		t.ident.answered = true
	}
}

// misroute counts a request for a path that does not exist.
func (r *record) misroute() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.misrouted++
	r.notify()
}

// reset forgets everything but the calls in flight.
func (r *record) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := newRecord()
	for name, m := range r.models {
		if m.inFlight > 0 {
			m.calls, m.peak = 0, m.inFlight
			fresh.models[name] = m
		}
	}
	r.epoch++
	r.since = fresh.since
	r.calls, r.peak = 0, r.inFlight
	r.aborted, r.refused, r.duplicates, r.answered, r.reanswered, r.untracked, r.misrouted = 0, 0, 0, 0, 0, 0, 0
	r.statuses, r.faults, r.models, r.idents = fresh.statuses, fresh.faults, fresh.models, fresh.idents
	r.admitted, r.bodies, r.times, r.list = fresh.admitted, fresh.bodies, fresh.times, fresh.list
	r.notify()
}

func (r *record) notify() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}
