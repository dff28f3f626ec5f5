// Package embednats runs a NATS server with JetStream inside the process, for
// machines that have none. It owns one store directory at a time.
package embednats

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/nats/gather"
)

// Defaults of [Options].
const (
	DefaultHost       = "127.0.0.1"
	DefaultMaxPayload = 8 << 20 // bytes
)

// maxPending is how much the server buffers for one client before it drops the
// connection as too slow. The server's own 64 MiB is eight of the largest
// messages; the memory is only used when a reader falls behind.
const maxPending = 256 << 20

// NoListen as [Options.Port] makes a server that only this process can reach.
const NoListen = -1

// Options says how to run the server. The zero value of every field but
// StoreDir means its default.
type Options struct {
	StoreDir   string         // where streams are kept; made with mode 0700 when missing; required
	Host       string         // address to listen on; empty: [DefaultHost]
	Port       int            // 0: any free port; [NoListen]: none
	MaxPayload int            // largest message in bytes; 0: [DefaultMaxPayload]
	MaxStore   int64          // bytes of disk the streams may take; 0: most of what is free
	Logger     zerolog.Logger // the server's errors and warnings at their level, its notices at debug

	// SyncAlways writes every message through to the disk before it is
	// acknowledged, at a great cost in speed. Otherwise writes reach the disk
	// every SyncInterval (0: the server's 2 minutes), so that a power cut, though
	// not the end of the process, can lose the last ones.
	SyncAlways   bool
	SyncInterval time.Duration
}

// Server is a running NATS server. Its methods may be called concurrently.
type Server struct {
	srv   *server.Server
	log   zerolog.Logger
	lock  *dirLock
	alone bool // only this process can reach it

	config server.JetStreamConfig // to start JetStream again
	life   sync.Mutex             // of what begins and ends JetStream
	closed bool
	close  sync.Once
}

// Start runs a server and returns when it takes connections: with an empty
// store after a few milliseconds, else as soon as the streams are read in. It
// fails with a [LockedError] when another process uses the store directory, and
// with a [PortError] when the port cannot be had.
func Start(o Options) (*Server, error) {
	if o.StoreDir == "" {
		return nil, errors.New("embedded NATS: no store directory given")
	}
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = DefaultMaxPayload
	}
	// Reading the store in can take seconds: see first whether the port is free.
	if o.Port > 0 {
		if err := probe(o.Host, o.Port); err != nil {
			return nil, err
		}
	}
	if err := makeStore(o.StoreDir); err != nil {
		return nil, err
	}
	lock, err := lockDir(o.StoreDir)
	if err != nil {
		return nil, err
	}
	s, err := start(o)
	if err != nil {
		lock.release()
		return nil, err
	}
	s.lock = lock
	return s, nil
}

func start(o Options) (*Server, error) {
	port := o.Port
	if port <= 0 {
		port = server.RANDOM_PORT // not used where nothing listens
	}
	srv, err := server.NewServer(&server.Options{
		ServerName:             "pelton",
		Host:                   o.Host,
		Port:                   port,
		DontListen:             o.Port < 0,
		JetStream:              true,
		StoreDir:               o.StoreDir,
		JetStreamMaxStore:      o.MaxStore,
		SyncAlways:             o.SyncAlways,
		SyncInterval:           o.SyncInterval,
		MaxPayload:             int32(o.MaxPayload),
		MaxPending:             max(maxPending, 2*int64(o.MaxPayload)),
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		NoSublistCache:         true, // hardly a subject comes twice: each request and each result has its own
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	log := &serverLog{logger: o.Logger.With().Str("from", "nats-server").Logger()}
	verbose := o.Logger.GetLevel() <= zerolog.TraceLevel
	srv.SetLoggerV2(log, verbose, verbose, false)

	// Start returns when JetStream is up and the listener is open, so nothing has
	// to be polled for. What goes wrong it only logs.
	srv.Start()
	if text := log.fatalText(); text != "" {
		stop(srv)
		if err := probe(o.Host, o.Port); o.Port > 0 && err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("embedded NATS in %s: %s", o.StoreDir, text)
	}
	return &Server{srv: srv, log: o.Logger, alone: o.Port == NoListen, config: configOf(srv, o)}, nil
}

// ClientURL is where other processes connect: nats://HOST:PORT. It is empty for
// a server that does not listen.
func (s *Server) ClientURL() string {
	if s.srv.Addr() == nil {
		return ""
	}
	return s.srv.ClientURL()
}

// Connect returns a new connection through memory, without a socket. It
// reconnects for as long as the server lives; the caller closes it before the
// server. Options given here come last and win.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	own := []nats.Option{
		nats.InProcessServer(inProcess{s.srv}),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectJitter(10*time.Millisecond, 10*time.Millisecond),
		// Without one the library prints to stderr. What a slow reader was not
		// given it reads again.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Debug().Err(err).Msg("the connection within the process reported an error")
		}),
	}
	nc, err := nats.Connect("", append(own, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	return nc, nil
}

// Listeners counts the subscriptions that a message on subject would reach.
func (s *Server) Listeners(subject string) int {
	all, err := s.srv.Subsz(&server.SubszOptions{Subscriptions: true, Test: subject})
	if err != nil {
		return 0
	}
	return all.Total
}

// StoreUsage returns the bytes the streams take on disk and how many they may
// take. It asks every stream: call it every few seconds, not per message.
func (s *Server) StoreUsage() (used, max int64) {
	info, err := s.srv.Jsz(nil)
	if err != nil || info.Disabled {
		return 0, 0
	}
	return int64(info.Store), info.Config.MaxStore
}

// Healthy reports nil while JetStream works. The server turns it off when the
// disk is broken, and takes nothing more for a stream that could not be written
// once, also when there is room again: both until JetStream is started again, which
// [Server.Revive] does. It asks every stream: call it every few seconds.
func (s *Server) Healthy() error {
	if !s.srv.JetStreamEnabled() {
		return errors.New("embedded NATS: JetStream is off: the disk is full or cannot be written")
	}
	for _, e := range s.srv.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if _, cause, ok := strings.Cut(e.Error, " write error: "); ok {
			return fmt.Errorf("embedded NATS: stream %s cannot be written: %s", e.Stream, cause)
		}
	}
	return nil
}

// Close shuts the server down, waits until everything is written and gives up
// the store directory. Calling it again does nothing.
func (s *Server) Close() {
	s.close.Do(func() {
		s.life.Lock()
		defer s.life.Unlock()
		s.closed = true
		if s.alone {
			// Nobody else asks it for messages. A server that shuts down with
			// requests for messages at hand tells them so, and gives the word 50 ms
			// to get out; one whose JetStream has ended has none at hand.
			_ = s.srv.ShutdownJetStream()
		}
		stop(s.srv)
		s.lock.release()
	})
}

func stop(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// makeStore makes the store directory and, for existing ones with wider
// permissions, keeps what the server puts into it private.
func makeStore(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, server.JetStreamStoreDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("cannot make the store directory %s: %w; set PELTON_STORE_DIR to a directory that can be written", dir, reason(err))
		}
	}
	return nil
}

// PortError is returned when the server cannot listen where it was told to.
type PortError struct {
	Addr string // HOST:PORT
	Err  error
}

func (e *PortError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("cannot listen on %s: address already in use; if a NATS server runs there, use it with NATS_URL=nats://%s", e.Addr, e.Addr)
	}
	return fmt.Sprintf("cannot listen on %s: %v", e.Addr, e.Err)
}

func (e *PortError) Unwrap() error { return e.Err }

func probe(host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return &PortError{Addr: addr, Err: err}
	}
	return l.Close()
}

// reason is err without the path it repeats.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// inProcess hands a client connections to a server in the same process.
type inProcess struct{ srv *server.Server }

func (p inProcess) InProcessConn() (net.Conn, error) {
	conn, err := p.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	return gather.New(conn), nil
}
