package faultyllm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the upstream. It serves on its own after Start, or as an
// [http.Handler] in somebody else's server. All methods may be called
// concurrently.
type Server struct {
	rec *record
	set atomic.Pointer[settings]

	base  time.Time    // when the server was made
	start atomic.Int64 // nanoseconds from base to Start, where outages count from

	// ctx ends when the server is closed, and with it all calls, which are then
	// not taken for aborted by their clients.
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex // guards what follows, and changes of set
	closed   bool
	http     *http.Server
	listener net.Listener
	served   chan error     // the end of http.Serve
	conns    sync.WaitGroup // open connections
	holds    int
	held     atomic.Pointer[chan struct{}] // closed when the last hold is released
}

// New makes a server that does not listen yet. A configuration that is not
// valid is an error that names all its problems.
func New(c Config) (*Server, error) {
	set, err := newSettings(c)
	if err != nil {
		return nil, fmt.Errorf("invalid configuration of the mock upstream: %w", err)
	}
	s := &Server{rec: newRecord(), base: time.Now()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.set.Store(set)
	return s, nil
}

// Start listens on addr, "host:port", and serves in the background until
// Close. Empty: a free port of 127.0.0.1. A server starts once.
func (s *Server) Start(addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the mock upstream is closed")
	}
	if s.listener != nil {
		return errors.New("the mock upstream is already started")
	}
	l, err := net.Listen("tcp", cmp.Or(addr, "127.0.0.1:0"))
	if err != nil {
		return fmt.Errorf("failed to start the mock upstream: %w", err)
	}
	s.listener = l
	s.start.Store(int64(time.Since(s.base)))
	s.http = &http.Server{
		Handler:     s,
		BaseContext: func(net.Listener) context.Context { return context.WithValue(s.ctx, ownKey{}, true) },
		ConnState:   s.connState,
		ErrorLog:    log.New(io.Discard, "", 0), // aborted connections are the point
	}
	s.served = make(chan error, 1)
	go func() { s.served <- s.http.Serve(l) }()
	return nil
}

// ownKey marks the contexts of requests that came in through Start.
type ownKey struct{}

// connState counts connections for Close. net/http reports a new one before
// Serve returns, so that nothing is added once Close waits. A hijacked one
// counts until its handler has closed it.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed:
		s.conns.Done()
	}
}

// Addr is the address listened on, nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Root is the URL of the server without a path, such as
// "http://127.0.0.1:41234"; empty before Start. A server that listens on all
// interfaces is named by its loopback address.
func (s *Server) Root() string {
	addr, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1" // Go listens on both families then
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// URL is the base URL to configure in a client: Root with /v1.
func (s *Server) URL() string {
	root := s.Root()
	if root == "" {
		return ""
	}
	return root + "/v1"
}

// Close stops listening, cuts all connections and returns when all calls have
// ended. The record stays readable. Closing again does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	srv := s.http
	s.mu.Unlock()

	s.cancel()
	if srv == nil {
		return nil
	}
	err := srv.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(served, err)
	}
	s.conns.Wait()
	return err
}

// Config reports the settings as they were given, defaults not filled in.
func (s *Server) Config() Config { return s.set.Load().given.clone() }

// Update changes the settings: change gets a copy of the present ones to edit.
// If the result is not valid the error says why and nothing changes. Calls
// under way keep the settings they began with.
func (s *Server) Update(change func(*Config)) error {
	return s.update(func(c *Config) error {
		change(c)
		return nil
	})
}

func (s *Server) update(change func(*Config) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.Config()
	if err := change(&c); err != nil {
		return err
	}
	set, err := newSettings(c)
	if err != nil {
		return err
	}
	s.set.Store(set)
	return nil
}

// SetOutage begins an outage, or ends one it began; a planned outage goes on.
func (s *Server) SetOutage(on bool) {
	_ = s.Update(func(c *Config) { c.Outage = on }) // always valid
}

// SetMaxParallel changes how many calls are served at a time; 0 or less lifts
// the limit. Calls already admitted stay so.
func (s *Server) SetMaxParallel(n int) {
	_ = s.Update(func(c *Config) { c.MaxParallel = max(0, n) }) // always valid
}

// Hold keeps calls waiting in flight, in place of an answer, until release is
// called. Calls that are refused do not wait. Holds nest; release may be called
// more than once.
func (s *Server) Hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds++; s.holds == 1 {
		gate := make(chan struct{})
		s.held.Store(&gate)
	}
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.holds--; s.holds == 0 {
			close(*s.held.Swap(nil))
		}
	})
}

// inOutage reports whether calls are to fail for an outage now.
func (s *Server) inOutage(set *settings) bool {
	if set.Outage {
		return true
	}
	if set.OutageFrom == 0 && set.OutageTo == 0 {
		return false
	}
	t := time.Since(s.base) - time.Duration(s.start.Load())
	return t >= set.OutageFrom && (set.OutageTo == 0 || t < set.OutageTo)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	ep := endpointOf(path)
	switch {
	case ep != nil && r.Method == http.MethodPost:
		s.call(w, r, ep)
	case ep != nil:
		w.Header().Set("Allow", http.MethodPost)
		s.notFound(w, http.StatusMethodNotAllowed, "Not allowed to "+r.Method+" on "+path+".")
	case path == "/v1beta/models":
		s.serveGeminiModels(w, r)
	case path == "/v1/models" || strings.HasPrefix(path, "/v1/models/"):
		s.serveModels(w, r)
	case path == "/healthz" || strings.HasPrefix(path, "/mock/"):
		s.serveControl(w, r)
	default:
		s.notFound(w, http.StatusNotFound, "Invalid URL ("+r.Method+" "+path+")")
	}
}

func (s *Server) notFound(w http.ResponseWriter, status int, message string) {
	s.rec.misroute()
	writeFailure(w, &failure{status: status, message: message})
}
