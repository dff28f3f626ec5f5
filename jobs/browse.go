package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"pelton/jobs/store"
	"pelton/schema"
)

// atOnce bounds the results that are read at the same time for one page: some
// may be large.
const atOnce = 8

// At returns the stored results of the given indexes, nil where there is none.
func (h *Handle) At(ctx context.Context, indexes []int) ([]*schema.Result, error) {
	if !jobName(h.id) || !schema.ValidQueue(h.queue) {
		return nil, ErrNotFound
	}
	results, errs := make([]*schema.Result, len(indexes)), make([]error, len(indexes))
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, index := range indexes {
		places <- struct{}{}
		wg.Go(func() {
			results[i], errs[i] = h.st.Results.Get(ctx, h.queue, h.id, index)
			<-places
		})
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// Search says which results to look for. The zero value is all.
type Search struct {
	Status   schema.Status
	Code     string // of the error
	CustomID string
	After    uint64 // go on behind this place in the order of completion
}

func (s Search) matches(out store.ResultMeta, customID string) bool {
	return (s.Status == "" || out.Status == s.Status) && (s.Code == "" || out.Code == s.Code) &&
		(s.CustomID == "" || customID == s.CustomID)
}

// Found is what a search came to.
type Found struct {
	Indexes []int  // in the order of completion
	Looked  int    // at so many results
	Next    uint64 // where to go on: [Search.After]; 0: there is no more
}

// Find looks through the job's stored results, by their headers, until it has
// found as many as most or has looked for as long as patience: a large job is
// searched in several steps.
func (h *Handle) Find(ctx context.Context, s Search, most int, patience time.Duration) (Found, error) {
	var found Found
	if !jobName(h.id) || !schema.ValidQueue(h.queue) {
		return found, ErrNotFound
	}
	until := time.Now().Add(patience)
	err := h.st.Results.EachStored(ctx, h.key(), s.After, true, func(e store.Entry, left uint64) error {
		if out, ok := e.Meta(); ok {
			found.Looked++
			if s.matches(out, store.HeaderValue(e.Header.Get(schema.HeaderCustomID))) {
				found.Indexes = append(found.Indexes, out.Index)
			}
		}
		if left > 0 && (len(found.Indexes) >= most || found.Looked%64 == 63 && time.Now().After(until)) {
			found.Next = e.Seq
			return store.ErrEnough
		}
		return nil
	})
	if errors.Is(err, store.ErrEnough) {
		err = nil
	}
	return found, err
}
