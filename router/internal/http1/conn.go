package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"
)

// past is a deadline that ends what waits at once.
var past = time.Unix(1, 0)

// conn is a connection. One call uses it at a time.
type conn struct {
	net.Conn
	host  *host
	raw   syscall.RawConn // nil: it cannot be looked at, and is not kept
	in    *bufio.Reader
	limit int64     // bytes that may still be read
	used  bool      // it had a call before
	since time.Time // when it was last given back

	streamed bool          // its last answer came in chunks
	age      time.Duration // how long it was unused before this call

	deadline time.Time // that it keeps

	abort func() // ends what it waits for
	quiet bool   // what peek found
	peek  func(fd uintptr)
}

func newConn(h *host, dialed net.Conn) *conn {
	c := &conn{Conn: dialed, host: h}
	if socket, ok := dialed.(syscall.Conn); ok {
		c.raw, _ = socket.SyscallConn()
	}
	c.in = bufio.NewReader(c)
	c.abort = func() { _ = dialed.SetDeadline(past) }
	c.peek = func(fd uintptr) { c.quiet = nothingToRead(fd) }
	return c
}

// Read reads from the server, as much as the limit allows.
func (c *conn) Read(p []byte) (int, error) {
	if c.limit <= 0 {
		return 0, fmt.Errorf("the header of the answer has more than %d bytes", c.host.maxHeader)
	}
	if int64(len(p)) > c.limit {
		p = p[:c.limit]
	}
	n, err := c.Conn.Read(p)
	c.limit -= int64(n)
	return n, err
}

// good reports whether a kept connection can be used: the server has neither
// closed it nor said anything on it.
func (c *conn) good() bool {
	c.quiet = false
	_ = c.raw.Control(c.peek) // whatever deadline its last call had
	return c.quiet
}

// Patient is a context that leaves its deadline to the connection, which has a
// clock anyway: a timer less for each call.
type Patient interface {
	context.Context

	// OwnDeadline is when it ends, if it has not before.
	OwnDeadline() time.Time

	// OnCancel is [context.AfterFunc] for every other end.
	OnCancel(f func()) (stop func() bool)
}

// endOf is why a context has ended; nil: it has not.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// watch has what the connection waits for end with the context.
func (c *conn) watch(ctx context.Context) (stop func() bool) {
	p, ok := ctx.(Patient)
	if !ok {
		c.keep(time.Time{})
		return context.AfterFunc(ctx, c.abort)
	}
	c.keep(p.OwnDeadline()) // first: abort sets another
	return p.OnCancel(c.abort)
}

// keep has the connection end at a deadline; zero: it need not.
func (c *conn) keep(deadline time.Time) {
	if !deadline.Equal(c.deadline) {
		c.deadline = deadline
		_ = c.SetDeadline(deadline)
	}
}

// exchange sends a request and returns its answer, whose body then has the
// connection. After an error the connection is closed. The end of the request's
// context ends it, and the reading of the body.
func (c *conn) exchange(req *http.Request, text []byte) (*http.Response, error) {
	ctx := req.Context()
	stop := c.watch(ctx)
	resp, err := c.ask(req, text)
	used := c.used
	c.used = true
	if err != nil {
		stop()
		_ = c.Close()
		var stale *StaleError
		if ended := endOf(ctx); ended != nil {
			err = ended
		} else if errors.As(err, &stale) || errors.Is(err, errStale) {
			c.host.idle.lost(c)
		}
		return nil, err
	}
	if announced := keepAlive(resp.Header); announced > 0 || used && c.streamed {
		c.host.idle.answered(c, announced)
	}
	c.streamed = resp.ContentLength < 0
	b := &body{conn: c, from: resp.Body, ctx: ctx, stop: stop}
	b.keep = !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols && c.raw != nil
	if resp.Body == http.NoBody {
		b.end(eof)
		return resp, nil
	}
	resp.Body = b
	if unzips(req) {
		unzip(resp)
	}
	return resp, nil
}

// ask writes a request and reads the answer up to its body.
func (c *conn) ask(req *http.Request, text []byte) (*http.Response, error) {
	var began time.Time
	if c.used {
		began = time.Now()
	}
	n, failed := c.Write(text)
	switch {
	case failed != nil && n == 0 && c.used:
		return nil, errStale
	case failed != nil && n == 0:
		return nil, failed
	}
	c.limit = c.host.maxHeader
	for {
		resp, err := http.ReadResponse(c.in, req)
		if failed != nil && err != nil {
			err = failed
		}
		switch {
		case err != nil && c.used && c.limit == c.host.maxHeader && time.Since(began) < soon:
			return nil, &StaleError{Idle: c.age, Err: err}
		case err != nil && failed != nil:
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("HTTP/1.1 connection broken: %w", err)
		case resp.StatusCode/100 == 1 && resp.StatusCode != http.StatusSwitchingProtocols:
			continue // more is to come
		}
		// A server that has not read all may have said why.
		resp.Close = resp.Close || failed != nil
		c.limit = math.MaxInt64
		return resp, nil
	}
}
