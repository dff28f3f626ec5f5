package pull

import "sync"

// Slots bounds the deliveries in hand of one process, over all pullers that
// share it. Make one with [NewSlots]; it is safe for concurrent use.
//
// An idle puller keeps a claim on free slots so that a message of its queue can
// start at once. Claims are shared out evenly over the pullers and given back
// every few seconds, so that a busy queue grows into what an idle one leaves.
type Slots struct {
	mu      sync.Mutex
	total   int
	busy    int
	claimed int // asked for by all pullers together
	expect  int // pullers that will share the slots
	pullers []*Puller
}

// NewSlots returns n slots; n must be positive.
func NewSlots(n int) *Slots { return &Slots{total: n} }

// Expect says how many pullers will share the slots, before the first of them
// starts: it would else claim them all, for as long as one alone may, and leave
// the others nothing to ask with.
func (s *Slots) Expect(pullers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expect = pullers
}

// Busy returns how many deliveries are in hand now.
func (s *Slots) Busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

func (s *Slots) join(p *Puller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pullers = append(s.pullers, p)
}

func (s *Slots) leave(p *Puller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.pullers {
		if other == p {
			s.pullers = append(s.pullers[:i], s.pullers[i+1:]...)
			return
		}
	}
}

// claim returns how many further messages a puller that waits for asked may ask
// for, and whether it shares the slots with others.
func (s *Slots) claim(asked int) (n int, shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	among := max(1, len(s.pullers), s.expect)
	shared = among > 1
	open := s.total - s.busy
	share := max(1, open/among)
	n = min(open-s.claimed, share-asked)
	// Small top-ups wait for company: see ask.
	if n <= 0 || asked > 0 && n < s.topUp() {
		return 0, shared
	}
	s.claimed += n
	return n, shared
}

func (s *Slots) topUp() int { return min(max(1, s.total/8), 32) }

func (s *Slots) unclaim(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed -= n
}

// take turns a claim into a busy slot.
func (s *Slots) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed--
	s.busy++
}

// free returns a slot and wakes the pullers that may want it.
func (s *Slots) free() {
	s.mu.Lock()
	s.busy--
	pullers := s.pullers
	for _, p := range pullers {
		p.nudge()
	}
	s.mu.Unlock()
}
