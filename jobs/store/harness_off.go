//go:build !pelton_harness

package store

import "github.com/nats-io/nats.go"

// resultsOnce says that the first result of an index is the only one. Only a
// build with the tag pelton_harness can be told otherwise, so that the chaos
// harness can show that it would notice.
const resultsOnce = true

// harnessMsg is where such a build can add what no version knows to every message
// that it sends. Any other build sends messages as they are.
func harnessMsg(m *nats.Msg) *nats.Msg { return m }
