package store

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
)

// The leader says what a direct get says.
func TestLeaderMsg(t *testing.T) {
	srv, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), Port: embednats.NoListen, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	nc, err := srv.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b, err := Open(nc, Settings{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := b.c.leaderMsg(ctx, "PELTON_RESULTS", "pelton.results.q.j.0"); err == nil {
		t.Error("a stream that is not there answers")
	}
	if err := b.Setup(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := b.c.leaderMsg(ctx, "PELTON_RESULTS", "pelton.results.q.j.0"); m != nil || err != nil {
		t.Errorf("nothing: %+v, %v", m, err)
	}
	sent := nats.NewMsg("pelton.results.q.j.0")
	sent.Header.Set("Pelton-Index", "0")
	sent.Data = []byte(`{"a": 1}`)
	if _, err := b.c.js.PublishMsg(ctx, sent); err != nil {
		t.Fatal(err)
	}
	leader, err := b.c.leaderMsg(ctx, "PELTON_RESULTS", sent.Subject)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := b.c.lastMsg(ctx, "PELTON_RESULTS", sent.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		seq   uint64
		index string
		data  string
	}{{leader.Sequence, leader.Header.Get("Pelton-Index"), string(leader.Data)}, {direct.Sequence, direct.Header.Get("Pelton-Index"), string(direct.Data)}} {
		if m.seq != 1 || m.index != "0" || m.data != string(sent.Data) {
			t.Errorf("%+v", m)
		}
	}
}
