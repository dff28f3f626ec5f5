//go:build pelton_newer

package jobs

import (
	"bytes"

	"github.com/nats-io/nats.go"
)

// asNewer adds a header that no version knows, and a field to what is an object
// of ours: the body of a request is the producer's.
func asNewer(m *nats.Msg) *nats.Msg {
	m.Header.Set("Pelton-X-Of-A-Newer-Version", "1")
	if _, request := m.Header["Pelton-Url"]; !request {
		m.Data = recordAsNewer(m.Data)
	}
	return m
}

// recordAsNewer puts an unknown field in front of an object's own.
func recordAsNewer(data []byte) []byte {
	rest, object := bytes.CutPrefix(data, []byte("{"))
	if !object || len(rest) < 2 {
		return data
	}
	return append([]byte(`{"x_of_a_newer_version":{"deep":[1]},`), rest...)
}
