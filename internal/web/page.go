package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pelton/jobs"
	"pelton/jobs/board"
	"pelton/jobs/store"
)

//go:embed static templates
var assets embed.FS

// Page is what people look at: jobs, their requests, deployments and workers. It
// needs no other host, and works without a script; with one it is live. Its
// methods are safe for concurrent use.
type Page struct {
	server *Server
	store  *store.Store
	client *jobs.Client
	survey *survey
	log    zerolog.Logger
	views  map[string]*template.Template
	files  map[string]file // by name
	life   context.Context
	end    context.CancelFunc
	live   chan struct{} // held by each stream

	mu    sync.Mutex
	board *board.Board
	used  time.Time // when somebody last looked at it
	timer *time.Timer
}

type file struct {
	content []byte
	kind    string
	version string
}

// Bounds of the page.
const (
	mostStreams = 256              // people that look at once
	boardIdle   = 10 * time.Minute // after which nobody is thought to look
	viewTime    = 10 * time.Second // for the broker's part of a view
)

// AddPage serves the page on s, from what the broker knows. The caller must call
// Close before it closes the connection.
func AddPage(s *Server, broker *store.Store, queue string, log zerolog.Logger) (*Page, error) {
	p := &Page{
		server: s, store: broker, client: jobs.ClientOn(broker, queue), survey: &survey{nc: broker.Conn(), names: broker.Names},
		log: log, views: map[string]*template.Template{}, files: map[string]file{}, live: make(chan struct{}, mostStreams),
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	p.life, p.end = context.WithCancel(context.Background())
	s.refuse = p.refused
	for pattern, view := range map[string]view{
		"/{$}":                                 p.jobs,
		"/jobs/{queue}/{job}":                  p.job,
		"/jobs/{queue}/{job}/requests/{index}": p.request,
		"/deployments":                         p.deployments,
		"/workers":                             p.workers,
	} {
		s.Handle("GET "+pattern, s.Reads(p.show(view)))
		s.Handle("GET /live"+pattern, s.Reads(p.follow(view)))
	}
	s.Handle("GET /jobs/{queue}/{job}/results.jsonl", s.Reads(http.HandlerFunc(p.download)))
	s.Handle("POST /jobs/{queue}/{job}/cancel", s.Changes(http.HandlerFunc(p.cancel)))
	s.Handle("POST /jobs/{queue}/{job}/retry", s.Changes(http.HandlerFunc(p.retry)))
	s.Handle("GET /sign-in", http.HandlerFunc(p.askToken))
	s.Handle("POST /sign-in", http.HandlerFunc(p.signIn))
	s.Handle("POST /sign-out", http.HandlerFunc(p.signOut))
	s.Handle("GET /static/{file}", http.HandlerFunc(p.static))
	s.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, http.StatusNotFound, "there is no such page")
	}))
	return p, nil
}

// Close ends the streams and stops listening.
func (p *Page) Close() {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.board != nil {
		p.timer.Stop()
		p.board.Close()
		p.board = nil
	}
}

func (p *Page) load() error {
	static, err := fs.ReadDir(assets, "static")
	if err != nil {
		return err
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, entry := range static {
		content, err := assets.ReadFile("static/" + entry.Name())
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		p.files[entry.Name()] = file{content, kinds[path.Ext(entry.Name())], hex.EncodeToString(sum[:6])}
	}
	base, err := template.New("base").Funcs(p.functions()).ParseFS(assets, "templates/base.html")
	if err != nil {
		return err
	}
	for _, name := range []string{"jobs", "job", "request", "deployments", "workers", "message"} {
		t, err := template.Must(base.Clone()).ParseFS(assets, "templates/"+name+".html")
		if err != nil {
			return err
		}
		p.views[name] = t
	}
	return nil
}

// static serves what is embedded. The name in a page carries the version, so
// that it may be kept for ever.
func (p *Page) static(w http.ResponseWriter, r *http.Request) {
	f, ok := p.files[r.PathValue("file")]
	if !ok {
		p.fail(w, r, http.StatusNotFound, "there is no such file")
		return
	}
	if r.URL.Query().Get("v") == f.version {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", f.kind)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// Board returns the board that page and metrics share, which is opened when it
// is wanted and closed when nobody has looked for a while.
func (p *Page) Board(ctx context.Context) (*board.Board, error) {
	p.mu.Lock()
	if p.life.Err() != nil {
		p.mu.Unlock()
		return nil, errors.New("this worker is stopping")
	}
	p.used = time.Now()
	if p.board == nil {
		p.board = board.Open(p.store)
		p.timer = time.AfterFunc(boardIdle, p.rest)
	}
	b := p.board
	p.mu.Unlock()
	return b, b.Wait(ctx)
}

// rest closes a board that nobody looks at.
func (p *Page) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.board == nil {
		return
	}
	if idle := time.Since(p.used); idle < boardIdle {
		p.timer.Reset(boardIdle - idle)
		return
	}
	p.board.Close()
	p.board = nil
}

// content is what a view shows.
type content struct {
	Title  string
	Nav    string // the entry of the navigation that it belongs to
	View   string // the template
	Path   string // of this view, with its query
	Live   bool   // it changes
	Signed bool
	Token  bool // the worker has one
	Data   any
	Notice string
}

// view makes what is shown for a request.
type view func(ctx context.Context, r *http.Request) (*content, error)

// notFound is a view's error for what is not there.
type notFound struct{ error }

func (p *Page) show(v view) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), viewTime)
		defer cancel()
		c, err := v(ctx, r)
		if err != nil {
			p.failed(w, r, err)
			return
		}
		p.write(w, r, http.StatusOK, c)
	})
}

func (p *Page) write(w http.ResponseWriter, r *http.Request, status int, c *content) {
	if c.Path == "" {
		c.Path = r.URL.RequestURI()
	}
	c.Signed, c.Token = p.server.Signed(r), p.server.HasToken()
	var page bytes.Buffer
	if err := p.views[c.View].ExecuteTemplate(&page, "page", c); err != nil {
		p.log.Error().Err(err).Str("view", c.View).Msg("a page could not be made")
		http.Error(w, "this page could not be made: the worker's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

// failed shows why there is nothing to see.
func (p *Page) failed(w http.ResponseWriter, r *http.Request, err error) {
	var missing notFound
	switch {
	case r.Context().Err() != nil: // nobody is there
	case errors.As(err, &missing), errors.Is(err, jobs.ErrNotFound):
		p.fail(w, r, http.StatusNotFound, err.Error())
	default:
		p.log.Debug().Err(err).Str("path", r.URL.Path).Msg("a view could not be made")
		p.fail(w, r, http.StatusServiceUnavailable, err.Error())
	}
}

func (p *Page) fail(w http.ResponseWriter, r *http.Request, status int, why string) {
	p.write(w, r, status, &content{Title: http.StatusText(status), View: "message", Data: message{Text: why}})
}

// message is a page that says one thing, and may ask for the token.
type message struct {
	Text string
	Ask  bool
	Next string // where to go on after signing in
}
