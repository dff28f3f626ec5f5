// Package natsconn connects to a NATS server the way the nats CLI does: from
// the same variables and context files. Its errors and log lines never hold a
// credential.
package natsconn

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/nats/denied"
	"pelton/internal/nats/gather"
)

// dialTimeout bounds one attempt on one server, greeting and TLS included.
const dialTimeout = 5 * time.Second

// Waits between the attempts of [ConnectRetry].
const (
	firstWait = 250 * time.Millisecond
	maxWait   = 5 * time.Second
)

// Connect connects once and fails fast: for verbs that a person waits for. Of
// several servers each is tried. Without NATS_URL and NATS_CONTEXT it looks on
// this machine, at nats://127.0.0.1:4222.
//
// A connection once made is kept up for as long as it takes; its ups and downs,
// denied subjects and slow consumers are logged. The name is what the server
// shows for it. Options given here come last and win.
//
// Errors are of type [*Error]; when ctx ended first they wrap its error.
func Connect(ctx context.Context, cfg *config.Config, name string, logger zerolog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	s, err := settingsOf(cfg)
	if err != nil {
		return nil, err
	}
	own, err := s.options()
	if err != nil {
		return nil, err
	}
	own = append(own,
		nats.Name(name),
		nats.Timeout(dialTimeout),
		nats.SetCustomDialer(gather.Dialer{Timeout: dialTimeout}),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500*time.Millisecond),
		nats.PingInterval(10*time.Second), // a dead peer is noticed within 30 s
		nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // a server that reloads its accounts refuses for a moment
		nats.NoCallbacksAfterClientClose(),
	)
	own = append(append(own, handlers(logger)...), opts...)

	type outcome struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		nc, err := nats.Connect(s.URL, own...)
		done <- outcome{nc, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, s.failed(o.err)
		}
		return o.nc, nil
	case <-ctx.Done():
		go func() { // nats.Connect knows no context
			if o := <-done; o.nc != nil {
				o.nc.Close()
			}
		}()
		return nil, s.failed(ctx.Err())
	}
}

// ConnectRetry is [Connect] for processes that outlive their server: while no
// server can be reached it logs a warning and tries again, until ctx ends. What
// waiting does not mend, like refused credentials or a missing file, is
// returned at once.
func ConnectRetry(ctx context.Context, cfg *config.Config, name string, logger zerolog.Logger, opts ...nats.Option) (*nats.Conn, error) {
	warned := time.Time{}
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		nc, err := Connect(ctx, cfg, name, logger, opts...)
		var failed *Error
		if err == nil || ctx.Err() != nil || !errors.As(err, &failed) || failed.Kind != Unreachable {
			return nc, err
		}
		if time.Since(warned) > 30*time.Second {
			warned = time.Now()
			logger.Warn().Str("server", failed.Server).AnErr("error", failed.Err).Msg("cannot reach NATS; still trying")
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			failed.Err = ctx.Err()
			return nil, failed
		}
	}
}

// handlers log what happens to a connection.
func handlers(logger zerolog.Logger) []nats.Option {
	// A denied subject or a slow consumer repeats with every message.
	sampled := func() *zerolog.Logger {
		l := logger.Sample(&zerolog.BurstSampler{Burst: 10, Period: 10 * time.Second})
		return &l
	}
	refused, slow, other := sampled(), sampled(), sampled()
	server := func(nc *nats.Conn) string { return Redact(nc.ConnectedUrl()) }
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: closed by ourselves
				logger.Warn().AnErr("error", scrub(err)).Msg("disconnected from NATS; reconnecting")
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			logger.Info().Str("server", server(nc)).Msg("reconnected to NATS")
		}),
		nats.LameDuckModeHandler(func(nc *nats.Conn) {
			logger.Info().Str("server", server(nc)).Msg("the NATS server is about to stop")
		}),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			log, text, level := other, "NATS reported an error", zerolog.WarnLevel
			switch {
			case errors.Is(err, nats.ErrPermissionViolation):
				log, text = refused, "NATS denied this subject; the user needs the permission"
				if denied.Told(nc, err) { // whoever called says so
					level = zerolog.InfoLevel
				}
			case errors.Is(err, nats.ErrSlowConsumer):
				// Whoever reads knows what was dropped, and reads it again or can do without.
				log, text, level = slow, "messages came faster than they were read and were dropped", zerolog.DebugLevel
			}
			event := log.WithLevel(level).AnErr("error", scrub(err))
			if sub != nil {
				event = event.Str("subject", sub.Subject)
				if dropped, err := sub.Dropped(); err == nil && dropped > 0 {
					event = event.Int("dropped", dropped)
				}
			}
			event.Msg(text)
		}),
	}
}
