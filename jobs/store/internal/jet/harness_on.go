//go:build pelton_harness

package jet

import (
	"bytes"

	"github.com/nats-io/nats.go"

	"pelton/schema"
)

// harness says what the build does otherwise: "unsafe" or "newer". It is set with
// -ldflags "-X pelton/jobs/store/internal/jet.harness=…".
var harness string

// ResultsOnce is false in an unsafe build: a later result takes the place of an
// earlier one.
var ResultsOnce = harness != "unsafe"

// newerHeader is a header that no version knows.
const newerHeader = "Pelton-X-Of-A-Newer-Version"

// harnessMsg adds, in a newer build, a header that no version knows and a field to
// what is an object of ours. The body of a request, the chunks of
// an answer and a job as it is submitted are somebody else's, and stay.
func harnessMsg(m *nats.Msg) *nats.Msg {
	switch {
	case harness != "newer", m.Header == nil, m.Header[nats.MsgIdHdr] != nil, m.Header[schema.HeaderAttempt] != nil, bytes.HasPrefix(m.Data, extraField):
		return m
	}
	m.Header.Set(newerHeader, "1")
	if m.Header[schema.HeaderURL] == nil {
		m.Data = withNewerField(m.Data)
	}
	return m
}

var extraField = []byte(`{"x_of_a_newer_version":{"deep":[1]},`)

// withNewerField puts an unknown field in front of an object's own.
func withNewerField(data []byte) []byte {
	rest, object := bytes.CutPrefix(data, []byte("{"))
	if !object || len(rest) < 2 {
		return data
	}
	return append(bytes.Clone(extraField), rest...)
}
