package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/internal/loopback"
)

// guard decides who may read and who may change something.
//
//   - To read from this machine needs nothing: the server listens on loopback,
//     and the client calls it by a loopback name. A page elsewhere whose name was
//     made to resolve to 127.0.0.1 sends its own name, and is a stranger; so is
//     what came through a proxy.
//   - To read from elsewhere, and to change anything, needs the token: as
//     "Authorization: Bearer TOKEN", or by the cookie that signing in sets.
//   - A browser's request from another site changes nothing, token or not.
type guard struct {
	token    string
	loopback bool
	origin   *http.CrossOriginProtection

	// Refuse answers who may not; nil: in plain text.
	refuse func(w http.ResponseWriter, r *http.Request, status int, why string)
}

func newGuard(token string, loopback bool) guard {
	return guard{token: token, loopback: loopback, origin: http.NewCrossOriginProtection()}
}

const (
	cookieName  = "pelton_session"
	sessionTime = 12 * time.Hour
)

// The refusals.
const (
	whyNoToken = "this worker has no token: set PELTON_HTTP_TOKEN where it runs"
	whyUnknown = "this needs the worker's token (PELTON_HTTP_TOKEN)"
	whyForeign = "this request comes from another site"
)

// Reads lets only those through to h who may see prompts and answers.
func (g *guard) Reads(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.Local(r) && !g.Signed(r) {
			g.deny(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Changes lets only those through to h who may change something.
func (g *guard) Changes(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.origin.Check(r) != nil {
			g.answer(w, r, http.StatusForbidden, whyForeign)
			return
		}
		if !g.Signed(r) {
			g.deny(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (g *guard) deny(w http.ResponseWriter, r *http.Request) {
	if g.token == "" {
		g.answer(w, r, http.StatusForbidden, whyNoToken)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="pelton"`)
	g.answer(w, r, http.StatusUnauthorized, whyUnknown)
}

func (g *guard) answer(w http.ResponseWriter, r *http.Request, status int, why string) {
	if g.refuse != nil {
		g.refuse(w, r, status, why)
		return
	}
	http.Error(w, why, status)
}

// HasToken reports whether a token is set: without one nobody may change
// anything.
func (g *guard) HasToken() bool { return g.token != "" }

// Local reports whether a request comes from this machine and says so.
func (g *guard) Local(r *http.Request) bool {
	return g.loopback && loopback.Asked(r)
}

// Signed reports whether a request carries the token, or the cookie of who has
// signed in with it.
func (g *guard) Signed(r *http.Request) bool {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return g.isToken(strings.TrimSpace(token))
	}
	cookie, err := r.Cookie(cookieName)
	return err == nil && g.isSession(cookie.Value, time.Now())
}

// isToken compares in a time that tells nothing, of the length neither.
func (g *guard) isToken(text string) bool {
	have, want := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(g.token))
	return g.token != "" && subtle.ConstantTimeCompare(have[:], want[:]) == 1
}

// session is a cookie's value: its end and what only the holder of the token can
// have made of it, so that every worker with the same token knows it.
func (g *guard) session(until time.Time) string {
	end := strconv.FormatInt(until.Unix(), 10)
	return end + "." + g.seal(end)
}

func (g *guard) seal(end string) string {
	mac := hmac.New(sha256.New, []byte(g.token))
	mac.Write([]byte("pelton session " + end))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (g *guard) isSession(value string, now time.Time) bool {
	end, seal, ok := strings.Cut(value, ".")
	until, err := strconv.ParseInt(end, 10, 64)
	return ok && err == nil && g.token != "" && now.Unix() < until && hmac.Equal([]byte(seal), []byte(g.seal(end)))
}

// signIn sets the cookie, and signOut takes it back. Scripts cannot read it, and
// no other site can send it.
func (g *guard) signIn(w http.ResponseWriter) {
	g.cookie(w, g.session(time.Now().Add(sessionTime)), int(sessionTime.Seconds()))
}

func (g *guard) signOut(w http.ResponseWriter) { g.cookie(w, "", -1) }

func (g *guard) cookie(w http.ResponseWriter, value string, age int) {
	//nolint:gosec // Secure would keep it from a page on http://127.0.0.1
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}
