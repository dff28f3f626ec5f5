//go:build pelton_unsafe

package jobs

import "github.com/nats-io/nats.go/jetstream"

// A later result takes the place of an earlier one. For a test of the chaos
// harness, and nothing else.
const (
	resultsOnce    = false
	resultsDiscard = jetstream.DiscardOld
)
