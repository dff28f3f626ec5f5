package board

import (
	"context"
	"errors"
	"time"

	"pelton/internal/retry"
	"pelton/jobs/store"
	"pelton/schema"
)

// MostWaiting is how many of the jobs that wait in a queue a [Board] knows; the
// rest it counts.
const MostWaiting = 20_000

// waitingJobs are the jobs of a queue that no owner has been given. Each message
// is read once.
type waitingJobs struct {
	list   []waitingJob // in the order of the queue
	read   uint64       // the last sequence that was looked at
	unread int          // how many there are behind it
}

type waitingJob struct {
	seq   uint64
	state *schema.State
}

// watchWaiting looks now and then for jobs that wait, from when the records have
// been read.
func (b *Board) watchWaiting(ctx context.Context, first <-chan struct{}) {
	select {
	case <-first:
	case <-ctx.Done():
		return
	}
	opened := false
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := b.lookForWaiting(one)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.st.Log.Debug().Err(err).Msg("the jobs that wait cannot be read; trying again")
			b.note(err)
		} else if !opened {
			opened = true
			close(b.ready)
		}
		_ = retry.Sleep(ctx, lookForWaiting)
	}
}

func (b *Board) lookForWaiting(ctx context.Context) error {
	queues, last, err := b.st.Jobs.Queues(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, queue := range queues {
		seen[queue] = true
		if err := b.readWaiting(ctx, queue, last); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for queue := range b.waiting {
		if !seen[queue] {
			delete(b.waiting, queue)
			b.sorted = nil
		}
	}
	return nil
}

// readWaiting brings what is known of one queue up to date. Only this goroutine
// writes it.
func (b *Board) readWaiting(ctx context.Context, queue string, last uint64) error {
	given, err := b.st.Jobs.Delivery(ctx, queue)
	if err != nil {
		return err
	}
	delivered, pending := given.Delivered, given.Pending
	have := b.waiting[queue]
	if have == nil {
		have = &waitingJobs{}
	}
	w := &waitingJobs{read: max(have.read, delivered)}
	for _, job := range have.list {
		if job.seq > delivered {
			w.list = append(w.list, job)
		}
	}
	if given.Served && len(w.list) > pending { // some were erased
		w.list, w.read = nil, delivered
	}
	room := MostWaiting - len(w.list)
	if room > 0 && w.read < last && (!given.Served || pending > len(w.list)) {
		err = b.st.Jobs.Each(ctx, queue, w.read, func(m store.JobMessage) error {
			state := b.st.Jobs.QueuedState(m)
			state.Metadata = nil
			w.list = append(w.list, waitingJob{m.Seq, state})
			w.read = m.Seq
			if room--; room == 0 {
				return store.ErrEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, store.ErrEnough) {
			return err
		}
	}
	w.unread = max(0, pending-len(w.list))
	b.mu.Lock()
	defer b.mu.Unlock()
	same := len(w.list) == len(have.list) && w.unread == have.unread && (len(w.list) == 0 || w.list[0].seq == have.list[0].seq)
	b.waiting[queue] = w
	if !same {
		b.sorted = nil
		b.changed()
	}
	return nil
}
