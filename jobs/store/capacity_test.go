package store

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
)

// limited is an installation on a server with a limit of its own, of which its
// clients are not told.
func limited(t *testing.T, most int64) (*Store, jetstream.JetStream) {
	t.Helper()
	srv, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), MaxStore: most, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, nc), js
}

func openStore(t *testing.T, nc *nats.Conn) *Store {
	t.Helper()
	st, err := Open(nc, Settings{Log: zerolog.Nop()})
	if err == nil {
		err = st.Setup(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// fill puts bytes into a stream that is none of Pelton's.
func fill(t *testing.T, js jetstream.JetStream, bytes int) {
	t.Helper()
	for ; bytes > 0; bytes -= 64 << 10 {
		if _, err := js.Publish(t.Context(), "fill", make([]byte, min(bytes, 64<<10))); err != nil {
			t.Fatal(err)
		}
	}
}

// The server's own limit counts, though nobody tells a client of it: beyond 90 % of
// it the store is full, and with room again it is not.
func TestServersOwnLimit(t *testing.T) {
	const most = 20 << 20
	st, js := limited(t, most)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILL", Subjects: []string{"fill"}, MaxBytes: most / 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MORE", Subjects: []string{"more"}}); err != nil {
		t.Fatal(err)
	}
	isFull := func() bool { return st.capacity.Look(t.Context()) }
	if isFull() {
		t.Error("an empty store is full")
	}
	fill(t, js, most*45/100)
	if isFull() {
		t.Error("a store that is half full is full")
	}
	for range most * 47 / 100 / (64 << 10) {
		if _, err := js.Publish(t.Context(), "more", make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if !isFull() {
		t.Error("a store of 92 % is not full")
	}
	all, err := st.Storage(t.Context(), true)
	if err != nil || !all.Full() || math.Abs(float64(all.MaxBytes)/most-1) > 0.002 {
		t.Errorf("%+v, %v: want a limit of %d", all, err, int64(most))
	}
	if all, err = st.Storage(t.Context(), false); err != nil || all.MaxBytes != 0 {
		t.Errorf("%+v, %v: without a measure there is no limit", all, err)
	}
	if err := js.DeleteStream(t.Context(), "MORE"); err != nil {
		t.Fatal(err)
	}
	if isFull() {
		t.Error("a store that has room again is full")
	}
	for name := range js.StreamNames(t.Context()).Name() {
		if name == st.Names.RoomStream() {
			t.Error("asking has made a stream")
		}
	}
}

// A server that does not say is not taken for full.
func TestServersLimitUnknown(t *testing.T) {
	st, _ := limited(t, 0)
	if st.Full(t.Context()) {
		t.Error("full without a limit to speak of")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := st.c.HasRoom(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
