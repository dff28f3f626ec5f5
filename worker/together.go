package worker

import (
	"context"

	"pelton/jobs"
	"pelton/schema"
)

// together is what the requests of one job that are in hand here have in common:
// a context that ends with the job's cancel or its deadline. Its cause is then
// the error of what was in flight, a [*schema.Error].
type together struct {
	ctx    context.Context
	end    context.CancelCauseFunc
	forget func()
	users  int
}

// join adds a request to those of its job; leave must be called.
func (w *worker) join(work *jobs.Work) *together {
	key := keyOf(work)
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.jobs[key]
	if t == nil {
		t = w.newTogether(work)
		w.jobs[key] = t
	}
	t.users++
	return t
}

// jobKey names a job, and not another one that had its id before and was removed.
type jobKey struct {
	queue, job string
	queuedAt   int64 // in nanoseconds
}

func keyOf(work *jobs.Work) jobKey { return jobKey{work.Queue, work.Job, work.QueuedAt.UnixNano()} }

func (w *worker) newTogether(work *jobs.Work) *together {
	t := &together{}
	timed, stop := context.WithDeadlineCause(w.hard, work.Deadline, errExpired)
	t.ctx, t.end = context.WithCancelCause(timed)
	w.cancels.SetPublishedAt(work.Queue, work.Job, work.QueuedAt)
	heard := w.cancels.OnCancel(work.Queue, work.Job, func(c schema.Cancel) { t.end(causeOf(c.Code)) })
	t.forget = func() {
		heard()
		t.end(nil)
		stop()
	}
	return t
}

func (w *worker) leave(work *jobs.Work, t *together) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(w.jobs, keyOf(work))
		t.forget()
	}
}

// within returns the job's context, ended also when the delivery that ctx
// belongs to must be given up.
func (t *together) within(ctx, hard context.Context) (context.Context, func()) {
	if ctx == hard {
		return t.ctx, func() {}
	}
	call, end := context.WithCancelCause(t.ctx)
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return call, func() {
		stop()
		end(nil)
	}
}
