package pull

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Delivery is one message in hand. Its methods are safe for concurrent use.
type Delivery struct {
	Msg       *nats.Msg
	Delivered int       // how often the broker knows to have delivered it; no reliable count of starts
	Sequence  uint64    // in the stream
	Published time.Time // when the stream took it

	first   bool
	limit   time.Duration // after its last renewal it may be in other hands
	conn    *nats.Conn
	ctx     context.Context
	cancel  context.CancelCauseFunc
	settled atomic.Bool
	renewed atomic.Int64 // when its deadline was last certainly renewed, as time since [epoch]
}

// epoch anchors renewal times on the monotonic clock: a wall clock that is set
// must not end a lease, and a process that was paused must see that it was.
var epoch = time.Now()

func newDelivery(p *Puller, m *nats.Msg) *Delivery {
	d := &Delivery{Msg: m, conn: p.cfg.Conn, limit: p.cfg.AckWait - p.cfg.Heartbeat}
	d.ctx, d.cancel = context.WithCancelCause(p.hard)
	d.renewed.Store(int64(time.Since(epoch)))
	d.readReply()
	return d
}

// readReply takes the metadata from the ack subject:
// $JS.ACK.[domain.account.]stream.consumer.delivered.sseq.cseq.time.pending[.token]
func (d *Delivery) readReply() {
	t := strings.Split(d.Msg.Reply, ".")
	if len(t) >= 11 {
		t = t[2:]
	}
	if len(t) < 9 {
		return
	}
	d.Delivered, _ = strconv.Atoi(t[4])
	d.Sequence, _ = strconv.ParseUint(t[5], 10, 64)
	if ns, err := strconv.ParseInt(t[7], 10, 64); err == nil {
		d.Published = time.Unix(0, ns)
	}
}

// Context ends when the work on the message must be given up: with [ErrLost]
// when it could not be kept alive, or with the puller's hard context.
func (d *Delivery) Context() context.Context { return d.ctx }

// First reports whether it is certain that the message was never delivered
// before. A broker that was restarted or has a new leader may have forgotten
// deliveries and acknowledgements: what it held by then is never First.
func (d *Delivery) First() bool { return d.first }

// Ack tells the broker that the message is done. It does not wait: an ack that
// is lost leads to a redelivery, which finds the work done.
func (d *Delivery) Ack() { d.settle("+ACK") }

// Nak hands the message back for immediate redelivery. One that may be in other
// hands already is left there.
func (d *Delivery) Nak() { d.handBack("-NAK") }

// NakAfter hands the message back for redelivery after a while. Until then it
// still counts as taken under the consumer's limit.
func (d *Delivery) NakAfter(wait time.Duration) { d.handBack(fmt.Sprintf(`-NAK {"delay":%d}`, wait)) }

func (d *Delivery) handBack(word string) {
	if !d.overdue(time.Since(epoch)) {
		d.settle(word)
	}
}

// overdue reports whether the deadline may have passed before the next renewal
// at a time since [epoch].
func (d *Delivery) overdue(now time.Duration) bool {
	return now-time.Duration(d.renewed.Load()) > d.limit
}

func (d *Delivery) settle(word string) {
	if d.settled.CompareAndSwap(false, true) && d.Msg.Reply != "" {
		_ = d.conn.Publish(d.Msg.Reply, []byte(word))
	}
}
