package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"pelton/jobs"
)

// A stream sends what has changed of a view, at most this often; and when nothing
// has, looks now and then at what no event tells of, and shows that it lives.
const (
	sendEvery   = time.Second
	glanceEvery = 5 * time.Second
)

// follow streams a view's changing part as server-sent events, each the whole of
// it in HTML. The page's script puts into the page what differs.
func (p *Page) follow(v view) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case p.live <- struct{}{}:
			defer func() { <-p.live }()
		default:
			http.Error(w, "too many people are looking; reload to see what is new", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(p.life, cancel)()
		s := stream{w: w, control: http.NewResponseController(w)}
		w.Header().Set("Content-Type", "text/event-stream")
		r.URL.Path = r.URL.Path[len("/live"):]
		for {
			b, err := p.Board(ctx)
			if err != nil {
				return // the browser comes again
			}
			change := b.Changed()
			html, err := p.part(ctx, r, v)
			if ctx.Err() != nil || s.send(html, err) != nil {
				return
			}
			if !next(ctx, change) {
				return
			}
		}
	})
}

// next waits until there may be something new; false: the stream has ended.
func next(ctx context.Context, change <-chan struct{}) bool {
	soon, late := time.After(sendEvery), time.After(glanceEvery)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-soon:
			select {
			case <-change:
				return true
			case <-late:
				return true
			case <-ctx.Done():
				return false
			}
		}
	}
}

// part makes the changing part of a view.
func (p *Page) part(ctx context.Context, r *http.Request, v view) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	c, err := v(ctx, r)
	if err != nil {
		return nil, err
	}
	c.Path = r.URL.RequestURI()
	c.Signed, c.Token = p.server.Signed(r), p.server.HasToken()
	var html bytes.Buffer
	err = p.views[c.View].ExecuteTemplate(&html, "live", c)
	return html.Bytes(), err
}

// stream is one browser's.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    [sha256.Size]byte
}

// send sends a part, or why there is none, unless it is what was sent last.
func (s *stream) send(html []byte, err error) error {
	event := "part"
	if err != nil {
		event, html = "trouble", []byte(err.Error())
		if errors.Is(err, jobs.ErrNotFound) {
			event = "gone"
		}
	}
	// A browser that does not read is not waited for longer than this.
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	var message bytes.Buffer
	if sum := sha256.Sum256(append([]byte(event), html...)); sum == s.last {
		message.WriteString(": nothing new\n\n")
	} else {
		s.last = sum
		message.WriteString("event: " + event + "\n")
		for line := range bytes.Lines(html) {
			message.WriteString("data: ")
			message.Write(bytes.TrimRight(line, "\r\n"))
			message.WriteByte('\n')
		}
		message.WriteByte('\n')
	}
	if _, err := message.WriteTo(s.w); err != nil {
		return err
	}
	return s.control.Flush()
}
