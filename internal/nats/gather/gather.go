// Package gather brings together what a NATS client writes.
//
// The client library writes to its connection with its lock held. A write to memory
// lasts until it is read, and one to a socket is a call of the system: whoever
// publishes meanwhile waits for it. Here writes go into memory, and a goroutine
// hands on what has come together.
package gather

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// Conn is the client's end of a connection. Its methods may be called concurrently.
type Conn struct {
	net.Conn

	mu     sync.Mutex
	change sync.Cond
	buf    []byte
	err    error // why nothing more can be written
	closed bool
	done   chan struct{} // closed when nothing is handed on any more
}

// mostGathered bounds what waits to be handed on: a writer waits beyond it.
const mostGathered = 4 << 20

// turns is how often others go first: more than once brings a little more together,
// more than a few times nothing.
const turns = 3

// lastWords is how long a close waits for what was written before it.
const lastWords = time.Second

// New gathers what is written to conn, which it closes when it is closed.
func New(conn net.Conn) *Conn {
	g := &Conn{Conn: conn, done: make(chan struct{})}
	g.change.L = &g.mu
	go g.handOn()
	return g
}

// Write takes all of p, unless so much waits already that it has to wait itself. An
// error is that of an earlier write.
func (g *Conn) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.buf) > mostGathered && g.err == nil && !g.closed {
		g.change.Wait()
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case g.closed:
		return 0, net.ErrClosed
	}
	g.buf = append(g.buf, p...)
	g.change.Broadcast()
	return len(p), nil
}

// handOn writes what was gathered. It lets others go first: on an idle machine
// there are none, on a busy one more comes together meanwhile.
func (g *Conn) handOn() {
	defer close(g.done)
	var spare []byte
	for {
		g.mu.Lock()
		for len(g.buf) == 0 && !g.closed {
			g.change.Wait()
		}
		if len(g.buf) == 0 {
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		for range turns {
			runtime.Gosched()
		}
		g.mu.Lock()
		ready := g.buf
		g.buf = spare[:0]
		g.change.Broadcast()
		g.mu.Unlock()
		if _, err := g.Conn.Write(ready); err != nil {
			g.mu.Lock()
			g.err = err
			g.change.Broadcast()
			g.mu.Unlock()
			return
		}
		if spare = ready; cap(spare) > 256<<10 {
			spare = nil
		}
	}
}

// SetDeadline bounds reading alone: what is written here waits for nobody.
func (g *Conn) SetDeadline(t time.Time) error { return g.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: see SetDeadline.
func (g *Conn) SetWriteDeadline(time.Time) error { return nil }

// Close hands on what was written before it.
func (g *Conn) Close() error {
	g.mu.Lock()
	g.closed = true
	g.change.Broadcast()
	g.mu.Unlock()
	select {
	case <-g.done:
	case <-time.After(lastWords):
	}
	return g.Conn.Close()
}
