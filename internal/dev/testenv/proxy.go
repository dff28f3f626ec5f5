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
	mute   bool
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

// Mute loses what comes in from now on, while what comes back is passed on: a
// question reaches nobody. The next Heal ends it, for connections made then.
func (p *Proxy) Mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
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
	p.cut, p.mute = false, false
}

// forth is the way to the server: it leads nowhere while the proxy is mute.
type forth struct {
	p   *Proxy
	out io.Writer
}

func (w forth) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	mute := w.p.mute
	w.p.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return w.out.Write(b)
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.Cut()
	p.bg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.bg.Go(func() { p.pass(client) })
	}
}

// pass copies both ways until either side ends.
func (p *Proxy) pass(client net.Conn) {
	defer p.drop(client)
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" || !p.hold(client) {
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
		_, _ = io.Copy(client, out)
		_ = client.Close()
	})
	_, _ = io.Copy(forth{p, out}, client)
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
