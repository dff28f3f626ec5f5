package store

import (
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
	"pelton/schema"
)

// fakeStream answers in the place of a stream: the test says what a leader of a
// cluster may say, and one server cannot be made to.
func fakeStream(t *testing.T) (*Store, func(subject string, answer func(*nats.Msg))) {
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
	b, err := Open(nc, Settings{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b.c.CopiesKnown() // one copy, as far as it knows
	return b, func(subject string, answer func(*nats.Msg)) {
		t.Helper()
		if _, err := nc.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
}

// A leader refuses an end since it has proposed one before, and is deposed
// before that is agreed upon: there is none, and it is published again.
func TestEndThatWasOnlyProposed(t *testing.T) {
	b, serve := fakeStream(t)
	subject := b.Names.End("default", "job")
	var published, asked atomic.Int64
	serve(subject, func(m *nats.Msg) {
		if published.Add(1) == 1 {
			_ = m.Respond([]byte(`{"stream":"PELTON_RESULTS","seq":0,"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}`))
			return
		}
		_ = m.Respond([]byte(`{"stream":"PELTON_RESULTS","seq":7}`))
	})
	serve("$JS.API.DIRECT.GET.PELTON_RESULTS.>", func(m *nats.Msg) {
		asked.Add(1)
		none := nats.NewMsg(m.Reply)
		none.Header.Set("Status", "404")
		_ = b.Conn().PublishMsg(none)
	})
	rec := &Record{State: schema.State{ID: "job", Queue: "default", State: schema.Succeeded}}
	if err := b.Results.PutEnd(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	if published.Load() != 2 || asked.Load() != 1 {
		t.Errorf("published %d times, looked up %d times", published.Load(), asked.Load())
	}
}
