package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// goneObject begins the names of marks in the store of files: of files that are read
// out of a job and were deleted. A mark ages as an uploaded file does, which is
// after the results that it hides.
const goneObject = "gone:"

// Gone reports whether a file that is read out of a job was deleted.
func (s *FileStore) Gone(ctx context.Context, queue, id string) (bool, error) {
	info, err := s.st.Objects.Info(ctx, s.st.Names.InputBucket(), goneName(queue, id))
	return info != nil, err
}

// MarkGone deletes a file that is read out of a job: nobody sees it any more.
func (s *FileStore) MarkGone(ctx context.Context, queue, id string) error {
	return store.Explain(s.st.Objects.Describe(ctx, &jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: goneName(queue, id)}, Bucket: s.st.Names.InputBucket(), NUID: NewFileID(), ModTime: time.Now().UTC(),
	}))
}

// goneName says queue and file; a queue's name has no colon.
func goneName(queue, id string) string { return goneObject + queue + ":" + id }

// AllGone returns the marks that there are, as queue and id of a file.
func (s *FileStore) AllGone(ctx context.Context) (map[store.JobKey]bool, error) {
	all := map[store.JobKey]bool{}
	err := s.st.Objects.Each(ctx, s.st.Names.InputBucket(), func(info *jetstream.ObjectInfo) error {
		if name, ok := strings.CutPrefix(info.Name, goneObject); ok {
			queue, id, _ := strings.Cut(name, ":")
			all[store.JobKey{Queue: queue, ID: id}] = true
		}
		return nil
	})
	return all, err
}

// deleteView deletes an output or error file: it is not found any more, and once all
// files of the job's results are gone the results are erased. The input of a job is
// the job's own.
func (g *Gateway) deleteView(ctx context.Context, v *view) error {
	if v.kind == inputPrefix {
		return &apiError{Status: http.StatusBadRequest, Param: "id", Code: "file_not_deletable",
			Message: "This file is the input of " + batchPrefix + v.state.ID + " and goes with it: when it ages out, or with `pelton rm " + v.state.ID + "`."}
	}
	if err := g.files.MarkGone(ctx, v.state.Queue, v.id); err != nil {
		return err
	}
	gone := func(id string) (bool, error) { return g.files.Gone(ctx, v.state.Queue, id) }
	return g.eraseGone(ctx, v.state, gone)
}

// eraseGone erases the results of a job if all files that are read out of them are
// gone.
func (g *Gateway) eraseGone(ctx context.Context, state *schema.State, gone func(id string) (bool, error)) error {
	output, errs := fileIDs(state)
	for _, id := range []*string{output, errs} {
		if id == nil {
			continue
		}
		if is, err := gone(*id); !is || err != nil {
			return err
		}
	}
	removed, err := g.Store.EraseResults(ctx, store.JobKey{Queue: state.Queue, ID: state.ID})
	if removed.Messages > 0 {
		g.Log.Info().Str("job", state.ID).Int("messages", removed.Messages).Msg("erased the results of a job: all its files were deleted")
	}
	if errors.Is(err, jobs.ErrDenied) {
		g.Log.Warn().Err(err).Str("job", state.ID).Msg("the results of a job whose files were deleted are hidden; they age out, since this process may not erase them")
		return nil
	}
	return err
}

// sweepGone ends what was cut short: results of which all files were deleted.
func (g *Gateway) sweepGone(ctx context.Context) error {
	all, err := g.files.AllGone(ctx)
	if err != nil {
		return err
	}
	for file := range all {
		h := jobs.ClientOn(g.Store, file.Queue).Job(file.Queue, strings.TrimPrefix(file.ID, kindOf(file.ID)))
		state, err := h.State(ctx)
		if errors.Is(err, jobs.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		ended, err := g.Store.Results.Ended(ctx, file.Queue, state.ID)
		if err != nil {
			return err
		}
		if !ended || !state.State.Final() {
			continue // erased, or aged out
		}
		gone := func(id string) (bool, error) { return all[store.JobKey{Queue: file.Queue, ID: id}], nil }
		if err := g.eraseGone(ctx, state, gone); err != nil {
			return err
		}
	}
	return nil
}
