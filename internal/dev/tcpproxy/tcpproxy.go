// Package tcpproxy stands between a process and a server, so that the two can be
// cut off from each other: with an error, in silence, or in one direction.
package tcpproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Proxy passes TCP connections on to an address that may change. Make it with
// [Listen]; it is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	bg       sync.WaitGroup

	mu       sync.Mutex
	target   string
	open     map[net.Conn]struct{}
	cut      bool
	mute     bool
	gate     chan struct{} // closed while bytes may pass
	accepted time.Time     // when the last connection was let in
}

// Listen begins to listen on a free port of 127.0.0.1, and passes connections on
// to target. While that is empty it closes them. [Proxy.Close] ends it.
func Listen(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, open: map[net.Conn]struct{}{}, gate: make(chan struct{})}
	close(p.gate)
	p.bg.Go(p.accept)
	return p, nil
}

// Addr is where it listens, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Point sets the address that connections are passed on to.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut closes every connection, and until [Proxy.Heal] new ones as they come.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.open {
		_ = c.Close()
	}
}

// Silence holds every byte back until [Proxy.Heal]; nobody is told. It must not
// be silent already.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// Mute loses what comes in from now on, while what comes back is passed on: a
// question reaches nobody. [Proxy.Heal] ends it.
func (p *Proxy) Mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}

// Heal ends what Cut, Silence or Mute began.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.mute = false, false
	p.unlock()
}

// unlock opens the gate. The caller holds mu.
func (p *Proxy) unlock() {
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Since reports whether a connection was let in after t.
func (p *Proxy) Since(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted.After(t)
}

// Close ends all connections, and returns when nothing is left of them. Closing
// again does nothing.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Cut()
	p.mu.Lock()
	p.unlock() // who waits at the gate finds the connections closed
	p.mu.Unlock()
	p.bg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.bg.Go(func() { p.serve(client) })
	}
}

// serve copies both ways until either side ends.
func (p *Proxy) serve(client net.Conn) {
	defer p.drop(client)
	target, ok := p.hold(client)
	if !ok || target == "" {
		return
	}
	dialer := net.Dialer{Timeout: time.Second}
	server, err := dialer.DialContext(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	defer p.drop(server)
	if _, ok := p.hold(server); !ok {
		return
	}
	p.mu.Lock()
	p.accepted = time.Now()
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client, true) })
	both.Go(func() { p.pass(client, server, false) })
	both.Wait()
}

// hold enters a connection into the table of those that [Proxy.Cut] closes. It
// returns where connections lead now, and whether they lead anywhere.
func (p *Proxy) hold(c net.Conn) (target string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.open[c] = struct{}{}
	}
	return p.target, !p.cut
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// pass copies until one side ends, then ends the other.
func (p *Proxy) pass(to, from net.Conn, forth bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		gate, lost := p.gate, p.mute && forth
		p.mu.Unlock()
		if n > 0 && !lost {
			<-gate
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
