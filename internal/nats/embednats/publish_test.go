package embednats

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// What was published before a close is in the server.
func TestGatheredPublishes(t *testing.T) {
	s := startServer(t, Options{StoreDir: t.TempDir(), Port: NoListen})
	listener, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sub, err := listener.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		nc, err := s.Connect(nats.NoReconnect())
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if err := nc.Publish("x", make([]byte, 300)); err != nil {
				t.Fatal(err)
			}
		}
		nc.Close()
	}
	for i := range 20 * 500 {
		if _, err := sub.NextMsg(10 * time.Second); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}
