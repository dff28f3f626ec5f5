package gather

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A writer does not wait for the reader, and what was written before a close
// arrives, in its order.
func TestGatheredArrives(t *testing.T) {
	here, there := net.Pipe()
	conn := New(here)
	var want bytes.Buffer
	for i := range 1000 {
		p := bytes.Repeat([]byte{byte(i)}, i)
		want.Write(p)
		if n, err := conn.Write(p); n != i || err != nil { // nobody reads yet
			t.Fatal(n, err)
		}
	}
	closed := make(chan error)
	go func() { closed <- conn.Close() }()
	got, err := io.ReadAll(there)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes of %d, %v", len(got), want.Len(), err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after the close: %v", err)
	}
}

// A reader that does not come is waited for from a bound on, and a connection that
// broke is told.
func TestGatheredIsBounded(t *testing.T) {
	here, there := net.Pipe()
	conn := New(here)
	written := make(chan int)
	go func() {
		n := 0
		for p := make([]byte, 1<<20); ; n++ {
			if _, err := conn.Write(p); err != nil {
				written <- n
				return
			}
		}
	}()
	buf := make([]byte, 1)
	if _, err := io.ReadFull(there, buf); err != nil {
		t.Fatal(err)
	}
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-written; n > mostGathered>>20+8 {
		t.Errorf("%d MiB were taken that nobody read", n)
	}
	if _, err := conn.Write(buf); err == nil {
		t.Error("a write to nobody")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
