package pull

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// The subject of an acknowledgement tells of the delivery, in its short form and
// in that with domain and account; one that is none tells nothing.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"$JS.ACK.PELTON_WORK.workers-default.2.70.71.1700000000000000000.5", "$JS.ACK._.hash.PELTON_WORK.workers-default.2.70.71.1700000000000000000.5.token",
		"", "$JS.ACK", "........", "$JS.ACK.s.c.-1.-1.x.99999999999999999999.0", "a.b.c.d.e.f.g.h.i.j",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		d := &Delivery{Msg: &nats.Msg{Reply: subject}}
		d.readReply()
		if strings.Count(subject, ".") < 8 && (d.Sequence != 0 || d.Delivered != 0 || !d.Published.IsZero()) {
			t.Errorf("%q: %+v", subject, d)
		}
	})
}
