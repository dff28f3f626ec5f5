//go:build !pelton_unsafe

package jobs

import "github.com/nats-io/nats.go/jetstream"

// The first result of an index is the only one. A build with the tag
// pelton_unsafe goes without that, so that the chaos harness can show that it
// would notice: see internal/dev/chaos.
const (
	resultsOnce    = true
	resultsDiscard = jetstream.DiscardNew
)
