// Package gateway serves OpenAI's files and batches over HTTP, so that any client
// of theirs is one of Pelton's: only its base URL changes.
//
// # What is what
//
// A batch is a job: batch_X is the job X of the key's queue, however it was
// submitted. What the gateway knows of a batch beyond its job (the key, the input
// file, the endpoint, the completion window) travels in the job's metadata under
// [originKey], so that there is one record of it and none to keep in step.
//
// An uploaded file is an object beside the inputs of jobs, see [File]. A
// batch gets a copy of its input, made while it is created: the file can be used
// again and deleted, and the copy ages and goes with the job. Output and error
// file are no files at all: they are read out of the results when somebody asks.
//
// # Who may do what
//
// A request carries a key, which has a queue and rights ([Keys]); what belongs to
// another key is not found. Without keys only this machine is served.
package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nuid"
	"github.com/rs/zerolog"

	"pelton/internal/loopback"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// The defaults of a [Config].
const (
	DefaultMaxFile = 1 << 30
	DefaultTimeout = 30 * time.Second
)

// Config says what a gateway serves.
type Config struct {
	Store  *store.Store    // of an installation whose streams are there
	Models func() []string // the names that requests can ask for; nil: none are told
	Keys   *Keys           // nil: clients on this machine alone, who need none

	// Queue is that of clients without a key. Empty: [schema.DefaultQueue].
	Queue string

	MaxFile  int64 // bytes of one upload; 0: [DefaultMaxFile]
	MaxLines int   // of one batch; 0: as many as a job can have

	// Timeout bounds answers that carry no file: the broker may be away.
	// 0: [DefaultTimeout].
	Timeout time.Duration

	Log zerolog.Logger
}

// Gateway is an http.Handler for what begins with /v1/. It is safe for
// concurrent use.
type Gateway struct {
	Config
	mux    *http.ServeMux
	files  *FileStore
	sizes  sizes
	origin *http.CrossOriginProtection
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// New returns a gateway at work. The caller must call Close.
func New(cfg Config) *Gateway {
	if cfg.Queue == "" {
		cfg.Queue = schema.DefaultQueue
	}
	if cfg.MaxFile == 0 {
		cfg.MaxFile = DefaultMaxFile
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	ctx, stop := context.WithCancel(context.Background())
	g := &Gateway{Config: cfg, mux: http.NewServeMux(), files: NewFileStore(cfg.Store), origin: http.NewCrossOriginProtection(), stop: stop}
	for _, r := range g.routes() {
		g.mux.Handle(r.pattern, g.handler(r))
	}
	g.mux.HandleFunc("/", unknownURL)
	g.done.Go(func() { g.sweep(ctx) })
	return g
}

// Close ends what the gateway does by itself. Requests are the server's to end.
func (g *Gateway) Close() {
	g.stop()
	g.done.Wait()
}

// ServeHTTP implements http.Handler. Every answer carries X-Request-Id: the caller's
// own, where that can stand in a log, else a new one.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(requestID)
	if !plainID(id) {
		id = "req_" + nuid.Next()
		r.Header.Set(requestID, id) // for the log
	}
	w.Header().Set(requestID, id)
	g.mux.ServeHTTP(w, r)
}

const (
	requestID    = "X-Request-Id"
	maxRequestID = 128
)

// plainID reports whether an id of a caller can be given back and logged.
func plainID(id string) bool {
	return id != "" && len(id) <= maxRequestID && strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// route is one thing that can be done, and the right it needs.
type route struct {
	pattern string
	needs   Right
	do      func(g *Gateway, c *call) error
	carries bool // a file, up, down or away: it takes as long as it goes on
}

func (g *Gateway) routes() []route {
	return []route{
		{"POST /v1/files", Write, (*Gateway).upload, true},
		{"GET /v1/files", Read, (*Gateway).listFiles, false},
		{"GET /v1/files/{id}", Read, (*Gateway).getFile, false},
		{"GET /v1/files/{id}/content", Read, (*Gateway).getContent, true},
		{"DELETE /v1/files/{id}", Delete, (*Gateway).deleteFile, true},
		{"POST /v1/batches", Write, (*Gateway).createBatch, true},
		{"GET /v1/batches", Read, (*Gateway).listBatches, false},
		{"GET /v1/batches/{id}", Read, (*Gateway).getBatch, false},
		{"POST /v1/batches/{id}/cancel", Delete, (*Gateway).cancelBatch, false},
		{"GET /v1/models", Read, (*Gateway).listModels, false},
		{"GET /v1/models/{id...}", Read, (*Gateway).getModel, false},
	}
}

// call is one request on its way.
type call struct {
	http.ResponseWriter
	r   *http.Request
	ctx context.Context
	key *Key
}

func (c *call) client(g *Gateway) *jobs.Client { return jobs.ClientOn(g.Store, c.key.Queue) }

func (g *Gateway) handler(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paced := newPaced(w)
		key, err := g.whose(r)
		if err == nil && !key.May(to.needs) {
			err = &apiError{Status: http.StatusForbidden, Type: "insufficient_permissions", Code: "missing_right",
				Message: "This key may not do that: it has no right to " + string(to.needs) + "."}
		}
		if err == nil {
			ctx := r.Context()
			if !to.carries {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, g.Timeout)
				defer cancel()
			}
			err = to.do(g, &call{ResponseWriter: paced, r: r, ctx: ctx, key: key})
		}
		if err != nil {
			g.refuse(paced, r, key, err)
		}
	})
}

// whose finds the key of a request.
func (g *Gateway) whose(r *http.Request) (*Key, error) {
	if g.Keys != nil {
		if key := g.Keys.find(bearer(r)); key != nil {
			return key, nil
		}
		return nil, &apiError{Status: http.StatusUnauthorized, Code: "invalid_api_key", Message: "Incorrect API key provided. The keys of this installation are in the file that PELTON_API_KEYS names."}
	}
	// A page that a browser shows may come from anywhere, and so may what a
	// proxy on this machine passes on.
	if !loopback.Host(r.RemoteAddr) || !loopback.Asked(r) || g.origin.Check(r) != nil {
		return nil, &apiError{Status: http.StatusForbidden, Code: "no_keys_configured",
			Message: "Without keys this installation serves clients on its own machine alone, called by a loopback name. Configure keys (PELTON_API_KEYS) to serve others."}
	}
	return &Key{Queue: g.Queue, Rights: []Right{Read, Write, Delete}, all: true}, nil
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// How often files that have expired are cleared away, with what unfinished
// uploads left; the first time soon after the start, as one may just have died.
const (
	firstSweep = time.Minute
	sweepEvery = 15 * time.Minute
)

func (g *Gateway) sweep(ctx context.Context) {
	for wait := firstSweep; ; wait = sweepEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		n, err := g.files.Sweep(ctx)
		if err == nil {
			err = g.sweepGone(ctx)
		}
		switch {
		case errors.Is(err, jobs.ErrDenied): // a worker may have no right to purge: others clear away, or age does
			g.Log.Debug().Err(err).Msg("expired files are not this process's to clear away")
		case err != nil && ctx.Err() == nil:
			g.Log.Warn().Err(err).Msg("could not clear expired files away; they age out")
		case n > 0:
			g.Log.Info().Int("files", n).Msg("cleared away expired files and unfinished uploads")
		}
	}
}

// paced is a ResponseWriter that gives each stretch of an answer its own time: a
// download may take as long as it goes on.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
	since   time.Time
}

// patience is how long a client may neither send nor take a byte.
const patience = 2 * time.Minute

func newPaced(w http.ResponseWriter) *paced {
	return &paced{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *paced) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.since) > patience/10 {
		p.since = now
		if err := p.control.SetWriteDeadline(now.Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	return p.ResponseWriter.Write(b)
}

// body is a request's body under the same rule.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	since   time.Time
}

func (c *call) body() *body {
	return &body{ReadCloser: c.r.Body, control: http.NewResponseController(c.ResponseWriter)}
}

func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.since) > patience/10 {
		b.since = now
		if err := b.control.SetReadDeadline(now.Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return 0, err
		}
	}
	return b.ReadCloser.Read(p)
}
