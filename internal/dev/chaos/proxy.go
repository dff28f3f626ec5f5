package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// proxy stands between a process and the NATS server, so that the two can be
// cut off from each other: by refusing connections, or by letting no byte pass.
type proxy struct {
	listener net.Listener
	target   string

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	refusing bool
	gate     chan struct{} // closed while bytes may pass
	accepted time.Time     // when the last connection was let in
	wg       sync.WaitGroup
}

func newProxy(target string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]struct{}{}, gate: make(chan struct{})}
	close(p.gate)
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// url is where the process connects.
func (p *proxy) url() string { return fmt.Sprintf("nats://%s", p.listener.Addr()) }

func (p *proxy) accept() {
	defer p.wg.Done()
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(in) })
	}
}

func (p *proxy) serve(in net.Conn) {
	defer in.Close()
	if !p.enter(in) {
		return
	}
	defer p.leave(in)
	dialer := net.Dialer{Timeout: time.Second}
	out, err := dialer.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer out.Close()
	if !p.enter(out) {
		return
	}
	defer p.leave(out)
	p.mu.Lock()
	p.accepted = time.Now()
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(out, in) })
	both.Go(func() { p.pass(in, out) })
	both.Wait()
}

func (p *proxy) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *proxy) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// pass copies until one side ends, and holds what it has while the gate is shut.
func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.mu.Lock()
			gate := p.gate
			p.mu.Unlock()
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

// cut drops all connections and takes none until heal.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// silence lets no byte pass until heal; nobody is told.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// heal ends what cut or silence began.
func (p *proxy) heal() {
	p.mu.Lock()
	p.refusing = false
	p.mu.Unlock()
	p.open()
}

func (p *proxy) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// since reports whether a connection was let in after t.
func (p *proxy) since(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted.After(t)
}

func (p *proxy) close() error {
	err := p.listener.Close()
	p.cut()
	p.open() // a pass that waits at the gate finds its connections closed
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
