package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"pelton/jobs"
)

// refused answers who may not do what they asked for, with a way to sign in
// where that helps. A script is told in a line.
func (p *Page) refused(w http.ResponseWriter, r *http.Request, status int, why string) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, why, status)
		return
	}
	m := message{Text: why, Ask: status == http.StatusUnauthorized}
	if r.Method == http.MethodGet {
		m.Next = r.URL.RequestURI()
	} else if job, _, ok := cutLast(r.URL.Path); ok {
		m.Next = job // the job whose button was pressed
	}
	p.write(w, r, status, &content{Title: "Refused", View: "message", Data: m})
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

func (p *Page) askToken(w http.ResponseWriter, r *http.Request) {
	m := message{Text: "The worker's token lets you cancel and retry jobs.", Ask: p.server.HasToken(), Next: ownPath(r.URL.Query().Get("next"))}
	if !m.Ask {
		m.Text = whyNoToken
	}
	p.write(w, r, http.StatusOK, &content{Title: "Sign in", View: "message", Data: m})
}

// wrongPause slows down who tries tokens, on one connection.
const wrongPause = 300 * time.Millisecond

func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	if p.server.origin.Check(r) != nil {
		p.refused(w, r, http.StatusForbidden, whyForeign)
		return
	}
	next := ownPath(r.FormValue("next"))
	if !p.server.isToken(strings.TrimSpace(r.FormValue("token"))) {
		select {
		case <-time.After(wrongPause):
		case <-r.Context().Done():
		}
		m := message{Text: "That is not the worker's token.", Ask: p.server.HasToken(), Next: next}
		p.write(w, r, http.StatusUnauthorized, &content{Title: "Sign in", View: "message", Data: m})
		return
	}
	p.server.signIn(w)
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // ownPath has seen to it
}

func (p *Page) signOut(w http.ResponseWriter, r *http.Request) {
	if p.server.origin.Check(r) != nil {
		p.refused(w, r, http.StatusForbidden, whyForeign)
		return
	}
	p.server.signOut(w)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// ownPath is text if it is a path of this page, else its beginning: nobody is
// sent elsewhere.
func ownPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") || strings.Contains(text, `\`) {
		return "/"
	}
	return text
}

// act does something to a job within a while, and goes back to where path says.
func (p *Page) act(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, h *jobs.Handle) (path string, err error)) {
	ctx, cancel := context.WithTimeout(r.Context(), viewTime)
	defer cancel()
	h := p.client.Job(r.PathValue("queue"), r.PathValue("job"))
	path, err := do(ctx, h)
	if err != nil {
		p.failed(w, r, err)
		return
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
}

func jobPath(h *jobs.Handle) string { return "/jobs/" + h.Queue() + "/" + h.ID() }

func (p *Page) cancel(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, func(ctx context.Context, h *jobs.Handle) (string, error) {
		reason := strings.TrimSpace(r.FormValue("reason"))
		if reason == "" {
			reason = "cancelled on the page"
		}
		if err := h.Cancel(ctx, reason); err != nil {
			return "", err
		}
		p.log.Info().Str("job", h.ID()).Str("queue", h.Queue()).Str("why", reason).Msg("a job is cancelled on the page")
		return jobPath(h), nil
	})
}

func (p *Page) retry(w http.ResponseWriter, r *http.Request) {
	p.act(w, r, func(ctx context.Context, h *jobs.Handle) (string, error) {
		next, err := h.Retry(ctx)
		if errors.Is(err, jobs.ErrNothingToRetry) || errors.Is(err, jobs.ErrRunning) {
			return "", notFound{err}
		}
		if err != nil {
			return "", fmt.Errorf("retry: %w", err)
		}
		p.log.Info().Str("job", h.ID()).Str("queue", h.Queue()).Str("as", next.ID()).Msg("a job is retried on the page")
		return jobPath(next), nil
	})
}
