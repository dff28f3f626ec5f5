package credentials

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tokenServer gives OAuth tokens as Google does, and refuses on demand.
type tokenServer struct {
	*httptest.Server
	key     *rsa.PrivateKey
	lasts   atomic.Int64 // seconds
	refuses atomic.Pointer[refused]
	given   atomic.Int64
	hold    chan struct{} // closed: it answers
}

type refused struct {
	status int
	body   string
}

func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &tokenServer{key: key, hold: make(chan struct{})}
	s.lasts.Store(3600)
	close(s.hold)
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) serve(w http.ResponseWriter, r *http.Request) {
	<-s.hold
	w.Header().Set("Content-Type", "application/json")
	if no := s.refuses.Load(); no != nil {
		w.WriteHeader(no.status)
		_, _ = w.Write([]byte(no.body))
		return
	}
	if err := s.check(r); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": err.Error()})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": fmt.Sprintf("ya29.canary-%d", s.given.Add(1)), "expires_in": s.lasts.Load(), "token_type": "Bearer",
	})
}

// check verifies the assertion as Google would.
func (s *tokenServer) check(r *http.Request) error {
	if r.FormValue("grant_type") == "refresh_token" {
		if r.FormValue("refresh_token") != "1//canary-refresh" {
			return errors.New("the token has been expired or revoked")
		}
		return nil
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if len(parts) != 3 {
		return errors.New("no assertion")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return errors.New("invalid JWT signature")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Scope, Aud string
		Exp             int64
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return err
	}
	if claims.Iss != "sa@proj-1.iam.gserviceaccount.com" || claims.Scope != cloudScope || claims.Aud != s.URL || claims.Exp < time.Now().Unix() {
		return fmt.Errorf("claims %s", raw)
	}
	return nil
}

// serviceAccount is a key file for the server, signed by key.
func (s *tokenServer) serviceAccount(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "proj-1", "private_key_id": "canary-key-id", "client_email": "sa@proj-1.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": s.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newGoogle(t *testing.T, credentials string) *Google {
	t.Helper()
	g, err := NewGoogle(credentials, &http.Transport{DisableKeepAlives: true})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A token comes from a file, its content, a user's credentials and the default
// ones, and the project with it.
func TestGoogleKinds(t *testing.T) {
	s := newTokenServer(t)
	account := s.serviceAccount(t, s.key)
	file := writeFile(t, account)
	for name, test := range map[string]struct{ given, environment string }{
		"content": {given: account},
		"file":    {given: file},
		"default": {environment: file},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", test.environment)
			g := newGoogle(t, test.given)
			req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Authorize(t.Context(), req, nil); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer ya29.canary-") {
				t.Errorf("Authorization is %q", got)
			}
			if project, err := g.Project(t.Context()); project != "proj-1" || err != nil {
				t.Errorf("project %q, %v", project, err)
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				if text := fmt.Sprintf(verb, g); strings.Contains(text, "canary") || strings.Contains(text, "PRIVATE") {
					t.Errorf("%s prints a secret: %s", verb, text)
				}
			}
		})
	}
}

// All that ask at once share one fetch, and later ones the token.
func TestGoogleFetchesOnce(t *testing.T) {
	s := newTokenServer(t)
	s.hold = make(chan struct{})
	g := newGoogle(t, s.serviceAccount(t, s.key))
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := g.Token(ctx)
		gone <- err
	}()
	cancel() // the one that asked goes; the others get the token all the same
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if token, err := g.Token(t.Context()); token != "ya29.canary-1" || err != nil {
				t.Errorf("token %q, %v", token, err)
			}
		})
	}
	close(s.hold)
	wait.Wait()
	if n := s.given.Load(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
}

// A token is renewed before it ends, and serves on where that fails.
func TestGoogleRenews(t *testing.T) {
	s := newTokenServer(t)
	g := newGoogle(t, s.serviceAccount(t, s.key))
	token := func() string {
		t.Helper()
		token, err := g.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	age := func(left time.Duration) { // as if time had gone by
		g.mu.Lock()
		defer g.mu.Unlock()
		now := time.Now()
		g.fetched, g.ends, g.renew = now.Add(left-time.Hour), now.Add(left), now.Add(left-earlyRenewal)
	}
	first := token()
	if age(6 * time.Minute); token() != first {
		t.Error("renewed too early")
	}
	if age(4 * time.Minute); token() == first {
		t.Error("not renewed before the end")
	}
	second := token()
	s.refuses.Store(&refused{503, `{}`})
	if age(4 * time.Minute); token() != second {
		t.Error("a token that is good is not used while no other is given")
	}
	age(time.Second)
	if _, err := g.Token(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	s.refuses.Store(nil)
	third := token()
	if third == second {
		t.Error("a token that ended is used")
	}
	if g.Refused() {
		t.Error("a token of this moment is replaced")
	}
	if age(50 * time.Minute); !g.Refused() || token() == third {
		t.Error("a refused token is not replaced")
	}
	if known := g.Secrets(); known[0] == known[1] || !strings.HasPrefix(known[1], "ya29.") {
		t.Errorf("secrets %v", known)
	}
}

// A key that was replaced on the disk is found by the next renewal.
func TestGoogleKeyReplaced(t *testing.T) {
	s := newTokenServer(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, s.serviceAccount(t, other))
	g := newGoogle(t, file)
	if _, err := g.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid JWT signature") {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(file, []byte(s.serviceAccount(t, s.key)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Token(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is wrong is one message that says what to do and holds no secret.
func TestGoogleRefused(t *testing.T) {
	s := newTokenServer(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	noPEM := strings.Replace(s.serviceAccount(t, s.key), "BEGIN PRIVATE", "BEGIN CANARY", 1)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", "")
	for name, test := range map[string]struct {
		given       string
		answer      *refused
		want        []string
		unreachable bool
	}{
		"another key":  {given: s.serviceAccount(t, other), want: []string{"sa@proj-1.iam.gserviceaccount.com", "invalid_grant: invalid JWT signature", "new key"}},
		"deleted":      {given: s.serviceAccount(t, s.key), answer: &refused{400, `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`}, want: []string{"account not found", "sa@proj-1"}},
		"a page":       {given: s.serviceAccount(t, s.key), answer: &refused{403, `<html>ya29.canary</html>`}, want: []string{"403 Forbidden"}},
		"in trouble":   {given: s.serviceAccount(t, s.key), answer: &refused{503, `{}`}, want: []string{"503"}, unreachable: true},
		"no server":    {given: strings.ReplaceAll(s.serviceAccount(t, s.key), s.URL, "http://127.0.0.1:1"), want: []string{"127.0.0.1:1"}, unreachable: true},
		"no file":      {given: "/nowhere/canary.json", want: []string{"/nowhere/canary.json"}},
		"no key in it": {given: noPEM, want: []string{"sa@proj-1"}},
		"another JSON": {given: `{"a":"canary"}`, want: []string{`"type": "service_account"`}},
		"unknown type": {given: `{"type":"canary_account"}`, want: []string{"canary_account"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.refuses.Store(test.answer)
			defer s.refuses.Store(nil)
			_, err := newGoogle(t, test.given).Token(t.Context())
			if err == nil {
				t.Fatal("a token was given")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if errors.Is(err, ErrUnreachable) != test.unreachable {
				t.Errorf("%q: unreachable is %v", err, !test.unreachable)
			}
			for _, secret := range []string{"ya29.", "PRIVATE KEY", "BEGIN", "MII", "assertion"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q holds %q", err, secret)
				}
			}
		})
	}
	if _, err := NewGoogle(`{"type":`, nil); err == nil {
		t.Error("half a file is taken")
	}
}

// A user's credentials give tokens too, and their refusal says how to log in.
func TestGoogleUser(t *testing.T) {
	s := newTokenServer(t)
	user := func(refresh string) string {
		return `{"type":"authorized_user","client_id":"id","client_secret":"canary","refresh_token":"` + refresh + `","quota_project_id":"proj-2"}`
	}
	redirected := roundTripper(func(req *http.Request) (*http.Response, error) { // the library's address is fixed
		made := req.Clone(req.Context())
		made.URL.Scheme, made.URL.Host, made.Host = "http", strings.TrimPrefix(s.URL, "http://"), ""
		return (&http.Transport{DisableKeepAlives: true}).RoundTrip(made)
	})
	good, err := NewGoogle(user("1//canary-refresh"), redirected)
	if err != nil {
		t.Fatal(err)
	}
	if project, err := good.Project(t.Context()); project != "proj-2" || err != nil {
		t.Errorf("project %q, %v", project, err)
	}
	ended, err := NewGoogle(user("1//canary-ended"), redirected)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ended.Token(t.Context())
	if err == nil || !strings.Contains(err.Error(), "gcloud auth application-default login") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
