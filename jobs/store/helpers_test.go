package store

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/embednats"
)

// testStore is a store of an installation of its own.
func testStore(t *testing.T) *Store {
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
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return b
}

// offline is a store without a server behind it.
func offline(t testing.TB) *Store {
	t.Helper()
	st, err := Open(&nats.Conn{}, Settings{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return st
}
