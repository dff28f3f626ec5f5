package jobs

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// What was there when a history began and was removed before it came is not
// waited for.
func TestHistoryOfWhatIsRemoved(t *testing.T) {
	t.Parallel()
	b := testBroker(t)
	if err := b.Setup(t.Context(), map[string]int{"default": 1}); err != nil {
		t.Fatal(err)
	}
	h := b.newTail(b.names.JobsStream(), b.names.Jobs("default"), 0, true)
	if err := h.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pending = 1 // as the server said, before another removed it
	err := h.history(t.Context(), func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		t.Errorf("read %s", m.Subject())
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
