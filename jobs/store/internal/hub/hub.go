// Package hub hands what a process stores to the readers in it.
package hub

import (
	"math"
	"sync"
)

// Hub hands entries E to whoever reads what K names. Make one with [New]. It is safe
// for concurrent use.
type Hub[K comparable, E any] struct {
	limits  Limits
	measure func(E) (place uint64, bytes int)

	mu sync.RWMutex
	of map[K][]*Subscription[E]
}

// Limits bound what is kept for one reader that does not keep up.
type Limits struct {
	Entries int
	Bytes   int
}

// New makes a hub. measure says at which place in the stream an entry lies, and about
// how much memory it holds, in bytes.
func New[K comparable, E any](limits Limits, measure func(E) (place uint64, bytes int)) *Hub[K, E] {
	return &Hub[K, E]{limits: limits, measure: measure, of: map[K][]*Subscription[E]{}}
}

// Subscription is what one reader has not read yet. One goroutine reads it.
type Subscription[E any] struct {
	limits Limits

	mu      sync.Mutex
	items   []E
	bytes   int
	dropped uint64 // the lowest place of what there was no room for; 0: none
	wake    chan struct{}
}

// Subscribe begins to gather the entries of a key, until [Hub.Unsubscribe].
func (h *Hub[K, E]) Subscribe(key K) *Subscription[E] {
	one := &Subscription[E]{limits: h.limits, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of[key] = append(h.of[key], one)
	return one
}

// Unsubscribe ends [Hub.Subscribe].
func (h *Hub[K, E]) Unsubscribe(key K, one *Subscription[E]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rest []*Subscription[E]
	for _, other := range h.of[key] {
		if other != one {
			rest = append(rest, other)
		}
	}
	if h.of[key] = rest; rest == nil {
		delete(h.of, key)
	}
}

// Publish hands an entry to whoever reads the key. It never waits.
func (h *Hub[K, E]) Publish(key K, e E) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, one := range h.of[key] {
		place, bytes := h.measure(e)
		one.put(e, place, bytes)
	}
}

// put never waits: what a slow reader has no room for, it reads from the stream.
func (s *Subscription[E]) put(e E, place uint64, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped != 0 || len(s.items) >= s.limits.Entries || s.bytes >= s.limits.Bytes {
		if s.dropped == 0 {
			s.dropped = math.MaxUint64
		}
		s.dropped = min(s.dropped, place)
	} else {
		s.items = append(s.items, e)
		s.bytes += bytes
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Wake has a token once something has come or was dropped since the last one was
// taken.
func (s *Subscription[E]) Wake() <-chan struct{} { return s.wake }

// Take returns what has come, using spare's memory for what comes next, and the
// lowest place of what was dropped since, 0 for nothing; from then on there is room
// again.
func (s *Subscription[E]) Take(spare []E) (items []E, dropped uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items, dropped = s.items, s.dropped
	s.items, s.bytes, s.dropped = spare[:0], 0, 0
	return items, dropped
}
