package store

import (
	"time"

	"github.com/nats-io/nats.go"
)

// What tests beside this package look at.
var (
	ParseMeta    = parseMeta
	DecodeRecord = decodeRecord
	Offline      = offline
)

// MessageOf is a job's message as it was published.
func MessageOf(queue string, seq uint64, published time.Time, m *nats.Msg) JobMessage {
	return JobMessage{Queue: queue, Seq: seq, Published: published, Data: m.Data, header: m.Header}
}
