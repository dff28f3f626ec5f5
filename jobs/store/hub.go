package store

import (
	"context"

	"pelton/internal/bitset"
	"pelton/jobs/store/internal/hub"
	"pelton/jobs/store/internal/jet"
	"pelton/schema"
)

// resultsHub hands what this process stores to the readers in it. Where nobody else
// can store ([Settings.Alone]) that is everything, and no consumer of the results
// stream is needed to follow a job.
type resultsHub = hub.Hub[JobKey, Entry]

func newHub() *resultsHub {
	return hub.New[JobKey](hub.Limits{Entries: maxHeld, Bytes: maxHeldBytes}, func(e Entry) (uint64, int) { return e.Seq, e.size() })
}

// hubSequence is a sequence in completion order from the hub: first what was
// stored before, from the stream, then what comes. It goes back to the stream for
// what the subscription had no room for.
type hubSequence struct {
	results *Results
	key     JobKey
	sub     *hub.Subscription[Entry]
	given   bitset.Set
	count   int
	after   uint64 // nothing up to it is asked for

	past  *jet.Reader // what is read from the stream now; nil: nothing
	items []Entry
	read  int
	spare []Entry
	end   *Entry // known, but not all that came before it
}

func newHubSequence(s *Results, key JobKey, after uint64) *hubSequence {
	h := &hubSequence{results: s, key: key, sub: s.hub.Subscribe(key), after: after}
	h.reread(after)
	return h
}

func (s *hubSequence) Close() {
	s.results.hub.Unsubscribe(s.key, s.sub)
	if s.past != nil {
		s.past.Close()
	}
}

func (s *hubSequence) reread(after uint64) {
	s.past = s.results.c.NewReader(s.results.c.Names.ResultsStream(), s.results.c.Names.ResultsOf(s.key.Queue, s.key.ID), max(s.after, after), false)
}

func (s *hubSequence) Next(ctx context.Context) (Entry, error) {
	for {
		it, err := s.any(ctx)
		if err != nil {
			return Entry{}, err
		}
		if !it.End() {
			if s.given.Add(it.Index) {
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
func (s *hubSequence) complete(end Entry) bool {
	state, err := schema.ParseState(end.Data)
	return err != nil || s.count >= state.Counts.Stored()
}

// any returns the next item from wherever there is one.
func (s *hubSequence) any(ctx context.Context) (Entry, error) {
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
			s.items[s.read] = Entry{}
			s.read++
			return it, nil
		}
		var dropped uint64
		s.spare = s.items
		s.items, dropped = s.sub.Take(s.spare)
		s.read = 0
		switch {
		case dropped != 0:
			s.reread(dropped - 1)
		case len(s.items) == 0:
			select {
			case <-s.sub.Wake():
			case <-ctx.Done():
				return Entry{}, context.Cause(ctx)
			}
		}
	}
}

// fromPast reads the stream as far as it went when the reading began.
func (s *hubSequence) fromPast(ctx context.Context) (it Entry, ok bool, err error) {
	some, err := s.past.Anything(ctx)
	if err != nil {
		return Entry{}, false, err
	}
	if !some {
		s.past = nil
	}
	for s.past != nil {
		m, meta, left, err := s.past.NextStored(ctx)
		if err != nil {
			return Entry{}, false, err
		}
		if !left {
			s.past.Close()
			s.past = nil
		}
		if m == nil {
			continue
		}
		if it, ok := entryOf(s.results.c.Names, m, meta); ok {
			return it, true, nil
		}
	}
	return Entry{}, false, nil
}
