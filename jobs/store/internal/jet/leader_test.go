package jet

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
	"pelton/schema"
)

// The leader says what a direct get says.
func TestLeaderMsg(t *testing.T) {
	c := testConn(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := c.leaderMsg(ctx, "PELTON_RESULTS", "pelton.results.q.j.0"); err == nil {
		t.Error("a stream that is not there answers")
	}
	_, err := c.js.CreateStream(ctx, jetstream.StreamConfig{Name: "PELTON_RESULTS", Subjects: []string{"pelton.results.*.*.*"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	c.CopiesKnown()
	if m, err := c.leaderMsg(ctx, "PELTON_RESULTS", "pelton.results.q.j.0"); m != nil || err != nil {
		t.Errorf("nothing: %+v, %v", m, err)
	}
	sent := nats.NewMsg("pelton.results.q.j.0")
	sent.Header.Set("Pelton-Index", "0")
	sent.Data = []byte(`{"a": 1}`)
	if _, err := c.js.PublishMsg(ctx, sent); err != nil {
		t.Fatal(err)
	}
	leader, err := c.leaderMsg(ctx, "PELTON_RESULTS", sent.Subject)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := c.LastMsg(ctx, "PELTON_RESULTS", sent.Subject)
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

// testConn is a connection to a server of its own, with nothing on it.
func testConn(t *testing.T) *Conn {
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
	c, err := New(nc, schema.Names{}, zerolog.Nop(), false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
