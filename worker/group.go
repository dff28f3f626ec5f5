package worker

import (
	"context"

	"pelton/jobs/queue"
	"pelton/schema"
)

// jobGroup is the context shared by this process's requests of one job that are in
// flight. It ends when the job is cancelled or its deadline passes. Its cause is then
// the error of what was in flight, a [*schema.Error].
type jobGroup struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	stop  func()
	users int
}

// join adds a request to those of its job; leave must be called.
func (w *worker) join(it *queue.Item) *jobGroup {
	key := groupOf(it)
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.groups[key]
	if g == nil {
		g = w.newGroup(it)
		w.groups[key] = g
	}
	g.users++
	return g
}

// groupKey names a job, and not another one that had its id before and was removed.
type groupKey struct {
	queue, job string
	queuedAt   int64 // in nanoseconds
}

func groupOf(it *queue.Item) groupKey { return groupKey{it.Queue, it.Job, it.QueuedAt.UnixNano()} }

func (w *worker) newGroup(it *queue.Item) *jobGroup {
	g := &jobGroup{}
	timed, stop := context.WithDeadlineCause(w.hard, it.Deadline, errExpired)
	g.ctx, g.end = context.WithCancelCause(timed)
	w.cancels.SetPublishedAt(it.Queue, it.Job, it.QueuedAt)
	ignore := w.cancels.OnCancel(it.Queue, it.Job, func(c schema.Cancel) { g.end(causeOf(c.Code)) })
	g.stop = func() {
		ignore()
		g.end(nil)
		stop()
	}
	return g
}

func (w *worker) leave(it *queue.Item, g *jobGroup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(w.groups, groupOf(it))
		g.stop()
	}
}

// within returns the job's context, ended also when the delivery that ctx
// belongs to must be given up.
func (g *jobGroup) within(ctx, hard context.Context) (context.Context, func()) {
	if ctx == hard {
		return g.ctx, func() {}
	}
	call, end := context.WithCancelCause(g.ctx)
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return call, func() {
		stop()
		end(nil)
	}
}
