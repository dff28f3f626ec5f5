package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrRunning means that a job has not ended, and so cannot be removed.
var ErrRunning = errors.New("the job has not ended: cancel it first")

// Remove erases a job that has ended: its message and input, its results and
// bodies, its cancel marker and its state. The state goes last, so that a
// removal that was cut short can be repeated.
func (h *Handle) Remove(ctx context.Context) error {
	rec, err := h.b.loadRecord(ctx, h.queue, h.id)
	switch {
	case err != nil:
		return err
	case rec == nil:
		state, err := h.State(ctx)
		if err != nil {
			return err
		}
		return fmt.Errorf("%w (it is %s)", ErrRunning, state.State)
	case !rec.State.State.Final():
		return fmt.Errorf("%w (it is %s)", ErrRunning, rec.State.State)
	}
	if err := h.removeMessages(ctx, rec); err != nil {
		return fmt.Errorf("remove job %s: %w", h.id, h.b.explain(err))
	}
	if err := h.removeObjects(ctx, rec); err != nil {
		return fmt.Errorf("remove job %s: %w", h.id, h.b.explain(err))
	}
	kv, err := h.b.states(ctx)
	if err != nil {
		return err
	}
	return kv.Purge(ctx, h.b.names.StateKey(h.queue, h.id))
}

func (h *Handle) removeMessages(ctx context.Context, rec *record) error {
	n := h.b.names
	for stream, subject := range map[string]string{
		n.ResultsStream(): n.ResultsOf(h.queue, h.id),
		n.WorkStream():    n.WorkOf(h.queue, h.id),
		n.CancelsStream(): n.Cancel(h.queue, h.id),
		n.ParkedStream():  n.ParkedOf(h.queue, h.id),
	} {
		s, err := h.b.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		if err := s.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return err
		}
	}
	jobs, err := h.b.js.Stream(ctx, n.JobsStream())
	if err != nil {
		return err
	}
	// Overwritten, not only unlinked: prompts are in it.
	err = jobs.SecureDeleteMsg(ctx, rec.Seq)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // it aged out, or an earlier removal came this far
	}
	return err
}

// removeObjects deletes the job's input, and every body that was stored for it.
func (h *Handle) removeObjects(ctx context.Context, rec *record) error {
	prefix := h.b.names.StateKey(h.queue, h.id) + "."
	for _, bucket := range []string{h.b.names.BodiesBucket(), h.b.names.InputBucket()} {
		store, err := h.b.js.ObjectStore(ctx, bucket)
		if err != nil {
			return err
		}
		list, err := store.List(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
			return err
		}
		for _, object := range list {
			if strings.HasPrefix(object.Name, prefix) || object.Name == rec.Input {
				if err := store.Delete(ctx, object.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
