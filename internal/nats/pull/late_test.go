package pull

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
)

// late is a puller that finds a message in its inbox after a pause: nobody but
// the scheduler says whether its loop or its inbox is the first to notice.
func late(t *testing.T, pause time.Duration) (p *Puller, m *nats.Msg, words *nats.Subscription) {
	t.Helper()
	srv, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), Port: embednats.NoListen, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if words, err = nc.SubscribeSync("$JS.ACK.>"); err != nil {
		t.Fatal(err)
	}
	slots := NewSlots(2)
	p = &Puller{
		hard: context.Background(), wake: make(chan struct{}, 1), inHand: map[*Delivery]struct{}{},
		cfg: Config{Conn: nc, Consumer: "a", AckWait: 6 * time.Second, Heartbeat: 1500 * time.Millisecond, Slots: slots, Log: zerolog.Nop(),
			Handle: func(d *Delivery) { d.Ack() }},
	}
	p.hands = newHands(p.handle)
	t.Cleanup(func() { p.hands.end() })
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	p.asked, _ = slots.claim(0)
	p.heard = time.Now().Add(-pause)
	m = &nats.Msg{Subject: "a", Sub: p.sub, Reply: "$JS.ACK.Q.a.1.7.9.1700000000000000000.0", Data: []byte("0")}
	return p, m, words
}

// word is what the broker was told of the message, "" for nothing.
func word(t *testing.T, p *Puller, words *nats.Subscription) string {
	t.Helper()
	p.wg.Wait()
	if err := p.cfg.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := words.Pending(); err != nil || n == 0 {
		return ""
	}
	m, err := words.NextMsg(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

// What comes after a silence may be in other hands by then: it is not begun, nor
// handed back, which would take it from them. The puller begins anew.
func TestLateDeliveryIsLeftAlone(t *testing.T) {
	p, m, words := late(t, silence+time.Second)
	p.receive(m)
	if w := word(t, p, words); w != "" {
		t.Errorf("the broker was told %q", w)
	}
	if p.fault() == nil {
		t.Error("the inbox is not made anew")
	}
	old := m.Sub
	p.hangUp()
	m.Sub = old
	p.receive(m) // the rest of the old inbox
	if w := word(t, p, words); w != "" {
		t.Errorf("of the rest the broker was told %q", w)
	}
}

func TestPromptDeliveryIsBegun(t *testing.T) {
	p, m, words := late(t, idleBeat)
	p.receive(m)
	if w := word(t, p, words); w != "+ACK" {
		t.Errorf("the broker was told %q", w)
	}
}

// A message that could not be kept alive is not handed back either.
func TestOverdueIsNotHandedBack(t *testing.T) {
	p, m, words := late(t, 0)
	d := newDelivery(p, m)
	d.renewed.Store(int64(time.Since(epoch) - d.limit - time.Second))
	d.Nak()
	d.NakAfter(time.Second)
	if w := word(t, p, words); w != "" {
		t.Errorf("the broker was told %q", w)
	}
	d.renewed.Store(int64(time.Since(epoch)))
	d.Nak()
	if w := word(t, p, words); w != "-NAK" {
		t.Errorf("the broker was told %q", w)
	}
}
