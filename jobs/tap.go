package jobs

import (
	"context"
	"math"
	"sync"

	"pelton/internal/bitset"
	"pelton/schema"
)

// taps hand what this process stores to the readers in it. Where nobody else
// can store ([Settings.Alone]) that is everything, and no consumer of the
// results stream is needed to follow a job.
type taps struct {
	mu sync.RWMutex
	of map[jobKey][]*tap
}

// tap is what one reader has not read yet.
type tap struct {
	mu      sync.Mutex
	items   []item
	bytes   int
	dropped uint64 // the lowest sequence of what there was no room for; 0: none
	wake    chan struct{}
}

func (t *taps) open(key jobKey) *tap {
	one := &tap{wake: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[jobKey][]*tap{}
	}
	t.of[key] = append(t.of[key], one)
	return one
}

func (t *taps) close(key jobKey, one *tap) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rest []*tap
	for _, other := range t.of[key] {
		if other != one {
			rest = append(rest, other)
		}
	}
	if t.of[key] = rest; rest == nil {
		delete(t.of, key)
	}
}

// give hands an item to whoever reads the job.
func (t *taps) give(key jobKey, it item) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, one := range t.of[key] {
		one.put(it)
	}
}

// put never waits: what a slow reader has no room for, it reads from the stream.
func (t *tap) put(it item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dropped != 0 || len(t.items) >= maxHeld || t.bytes >= maxHeldBytes {
		if t.dropped == 0 {
			t.dropped = math.MaxUint64
		}
		t.dropped = min(t.dropped, it.seq)
	} else {
		t.items = append(t.items, it)
		t.bytes += it.size()
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take returns what has come, using spare's memory for what comes next, and
// what was dropped since; from then on there is room again.
func (t *tap) take(spare []item) (items []item, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	items, dropped = t.items, t.dropped
	t.items, t.bytes, t.dropped = spare[:0], 0, 0
	return items, dropped
}

// tapped is a sequence in the order in which results are stored, from a tap:
// first what was stored before, from the stream, then what comes. It goes back
// to the stream for what the tap had no room for.
type tapped struct {
	b          *Broker
	queue, job string
	tap        *tap
	given      bitset.Set
	count      int
	after      uint64 // nothing up to it is asked for

	past  *tail // what is read from the stream now; nil: nothing
	items []item
	read  int
	spare []item
	end   *item // known, but not all that came before it
}

func (b *Broker) tapped(queue, job string, after uint64) *tapped {
	s := &tapped{b: b, queue: queue, job: job, tap: b.taps.open(jobKey{queue, job}), after: after}
	s.reread(after)
	return s
}

func (s *tapped) close() {
	s.b.taps.close(jobKey{s.queue, s.job}, s.tap)
	if s.past != nil {
		s.past.close()
	}
}

func (s *tapped) reread(after uint64) {
	s.past = s.b.newTail(s.b.names.ResultsStream(), s.b.names.ResultsOf(s.queue, s.job), max(s.after, after), false)
}

func (s *tapped) next(ctx context.Context) (item, error) {
	for {
		it, err := s.any(ctx)
		if err != nil {
			return item{}, err
		}
		if !it.end() {
			if s.given.Add(it.index) {
				s.count++
				return it, nil
			}
			continue
		}
		if s.end != nil || s.after > 0 || s.complete(it) {
			return it, nil
		}
		// One was stored unseen: it is in the stream.
		end := it // else every item would cost memory of its own
		s.end = &end
		s.reread(0)
	}
}

// complete reports whether everything that the end counts was given out.
func (s *tapped) complete(end item) bool {
	state, err := schema.ParseState(end.data)
	return err != nil || s.count >= state.Counts.Stored()
}

// any returns the next item from wherever there is one.
func (s *tapped) any(ctx context.Context) (item, error) {
	for {
		if s.past != nil {
			it, ok, err := s.fromPast(ctx)
			if ok || err != nil {
				return it, err
			}
			if s.end != nil {
				return *s.end, nil
			}
		}
		if s.read < len(s.items) {
			it := s.items[s.read]
			s.items[s.read] = item{}
			s.read++
			return it, nil
		}
		var dropped uint64
		s.spare = s.items
		s.items, dropped = s.tap.take(s.spare)
		s.read = 0
		switch {
		case dropped != 0:
			s.reread(dropped - 1)
		case len(s.items) == 0:
			select {
			case <-s.tap.wake:
			case <-ctx.Done():
				return item{}, context.Cause(ctx)
			}
		}
	}
}

// fromPast reads the stream as far as it went when the reading began.
func (s *tapped) fromPast(ctx context.Context) (it item, ok bool, err error) {
	if s.past.it == nil {
		some, err := s.b.nextMsg(ctx, s.past.stream, s.past.filter, s.past.last)
		if err != nil {
			return item{}, false, err
		}
		if some == nil {
			s.past = nil
			return item{}, false, nil
		}
	}
	for s.past != nil {
		m, meta, left, err := s.past.past(ctx)
		if err != nil {
			return item{}, false, err
		}
		if !left {
			s.past.close()
			s.past = nil
		}
		if m == nil {
			continue
		}
		if it, ok := s.b.itemOf(m, meta); ok {
			return it, true, nil
		}
	}
	return item{}, false, nil
}
