package store

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// What was there when a history began and was removed before it came is not
// waited for.
func TestHistoryOfWhatIsRemoved(t *testing.T) {
	t.Parallel()
	b := testStore(t)
	if err := b.Setup(t.Context(), map[string]int{"default": 1}); err != nil {
		t.Fatal(err)
	}
	h := b.c.NewReader(b.Names.JobsStream(), b.Names.Jobs("default"), 0, true)
	if err := h.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Pending = 1 // as the server said, before another removed it
	err := h.ReadStored(t.Context(), func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		t.Errorf("read %s", m.Subject())
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Nor does a reader in the process wait for it, who has what came since by hand.
func TestTapBesideWhatIsRemoved(t *testing.T) {
	t.Parallel()
	b := testStore(t)
	if err := b.Setup(t.Context(), map[string]int{"default": 1}); err != nil {
		t.Fatal(err)
	}
	b.Results.hub = newHub()
	s := newHubSequence(b.Results, JobKey{"default", "j"}, 0)
	defer s.Close()
	if err := s.past.Open(t.Context()); err != nil { // as if something had been there
		t.Fatal(err)
	}
	b.Results.hub.Publish(JobKey{"default", "j"}, Entry{Index: 3, Seq: 9})
	if it, err := s.Next(t.Context()); err != nil || it.Index != 3 {
		t.Errorf("%+v, %v", it, err)
	}
}
