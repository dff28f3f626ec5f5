package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Ready reports why no work could be taken: a stream or the bucket of states is
// missing, or the broker does not answer. It looks for each; nil is all well.
func (b *Broker) Ready(ctx context.Context) error {
	n := b.names
	for _, name := range []string{n.JobsStream(), n.WorkStream(), n.ResultsStream(), n.ParkedStream(), n.CancelsStream(), "KV_" + n.StateBucket()} {
		err := b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.Stream(ctx, name)
			return err
		})
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("there is no stream %s", name)
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return nil
}
