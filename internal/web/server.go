// Package web is what a worker serves over HTTP: its health, its metrics and a
// page for the people who run it. Other rooms add what they serve with
// [Server.Handle].
//
// # Who may do what
//
// Health and metrics are open: they name queues and deployments and hold no
// prompt. What shows prompts and answers goes through [Server.Reads], what
// changes something through [Server.Changes]; the rules are in guard.go.
package web

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/internal/loopback"

	"github.com/rs/zerolog"
)

// Bounds of what a client may take. A handler that is to take longer extends its
// own deadlines with [http.ResponseController].
const (
	headerTimeout = 5 * time.Second
	readTimeout   = time.Minute
	writeTimeout  = time.Minute
	idleTimeout   = 2 * time.Minute
	closeTimeout  = 3 * time.Second // for answers under way when the server is closed
	maxHeader     = 64 << 10
	maxBody       = 1 << 20 // of requests to handlers that name no limit
)

// Config says where a server listens and whom it obeys.
type Config struct {
	// Addr is HOST:PORT; without a host it is 127.0.0.1, and port 0 is any that
	// is free. Required.
	Addr string

	// Token is what a client shows to change something, or to read from beyond
	// this machine. Empty: nobody may do either.
	Token string

	Log zerolog.Logger
}

// Server is an HTTP server at work. Its methods are safe for concurrent use.
type Server struct {
	guard
	Health *Health

	listener net.Listener
	mux      *http.ServeMux
	http     *http.Server
	done     chan struct{}
}

// Listen begins to serve, with /livez and /readyz alone. The caller must call
// Close.
func Listen(cfg Config) (*Server, error) { return listen(cfg, readTimeout) }

func listen(cfg Config, readTimeout time.Duration) (*Server, error) {
	addr, err := Address(cfg.Addr)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{Health: newHealth(), listener: listener, mux: http.NewServeMux(), done: make(chan struct{})}
	s.guard = newGuard(cfg.Token, loopback.Host(listener.Addr().String()))
	life, end := context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           secured(s.mux),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return life },
		ErrorLog:    stdlog.New(logWriter{cfg.Log}, "", 0),
	}
	s.http.RegisterOnShutdown(end) // what follows a job ends with the server
	s.Handle("GET /livez", http.HandlerFunc(livez))
	s.Handle("GET /readyz", s.Health)
	go func() {
		defer close(s.done)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error().Err(err).Msg("the HTTP server has ended")
		}
	}()
	return s, nil
}

// Handle serves pattern, as [http.ServeMux] reads it, with h. A request's body is
// bounded to 1 MiB; [Server.HandleLarge] has another bound. What h shows or
// changes is its own matter: see [Server.Reads] and [Server.Changes].
func (s *Server) Handle(pattern string, h http.Handler) { s.HandleLarge(pattern, maxBody, h) }

// HandleLarge is Handle with a bound on bodies, in bytes.
func (s *Server) HandleLarge(pattern string, bound int64, h http.Handler) {
	s.mux.Handle(pattern, http.MaxBytesHandler(h, bound))
}

// URL is where the server is reached from this machine: http://127.0.0.1:9321.
func (s *Server) URL() string { return "http://" + local(s.listener.Addr().String()) }

// Close takes no more requests, ends the streams and returns when what was under
// way has its answer, or after a few seconds.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}

// Address reads HOST:PORT, where a host that is left out is 127.0.0.1.
func Address(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	number, err2 := strconv.Atoi(port)
	if err != nil || err2 != nil || number < 0 || number > 65535 {
		return "", fmt.Errorf("%q must be HOST:PORT, like 127.0.0.1:9321", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// local is addr as this machine reaches it: a server on all addresses is on
// loopback too.
func local(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host = "127.0.0.1"; ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// secured sets the headers that keep a browser from doing with an answer what it
// is not for. A handler may set others.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "same-origin")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// logWriter takes what net/http has to say, mostly of clients that went away.
type logWriter struct{ log zerolog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	event := w.log.Debug()
	if strings.Contains(string(p), "panic serving") {
		event = w.log.Error()
	}
	event.Msg(strings.TrimSpace(string(p)))
	return len(p), nil
}
