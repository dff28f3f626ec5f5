package testenv

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to an address that may change, and can be
// cut: then it closes what is open and takes nothing new.
type Proxy struct {
	listener net.Listener
	bg       sync.WaitGroup

	mu     sync.Mutex
	target string
	cut    bool
	open   map[net.Conn]struct{}
}

// NewProxy listens on a free port until the end of the test. Until
// [Proxy.Point] it has nowhere to pass connections on to, and closes them.
func NewProxy(t testing.TB) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, open: map[net.Conn]struct{}{}}
	p.bg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where it listens, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Point sets the address that connections are passed on to.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Cut closes every connection, and new ones as they come.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.open {
		_ = c.Close()
	}
}

// Heal lets connections through again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.Cut()
	p.bg.Wait()
}

func (p *Proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.bg.Go(func() { p.pass(in) })
	}
}

// pass copies both ways until either side ends.
func (p *Proxy) pass(in net.Conn) {
	defer p.drop(in)
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" || !p.hold(in) {
		return
	}
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer p.drop(out)
	if !p.hold(out) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out)
		_ = in.Close()
	})
	_, _ = io.Copy(out, in)
	_ = out.Close()
	back.Wait()
}

// hold enters a connection into the table of those that [Proxy.Cut] closes.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.open[c] = struct{}{}
	}
	return !p.cut
}

func (p *Proxy) drop(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}
