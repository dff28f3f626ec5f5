//go:build !pelton_harness

package jet

import "github.com/nats-io/nats.go"

// ResultsOnce says that the first result of an index is the only one. Only a
// build with the tag pelton_harness can be told otherwise, so that the chaos
// harness can show that it would notice.
const ResultsOnce = true

// harnessMsg is where such a build can add what no version knows to every message
// that it sends. Any other build sends messages as they are.
func harnessMsg(m *nats.Msg) *nats.Msg { return m }
