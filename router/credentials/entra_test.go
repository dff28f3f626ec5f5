package credentials

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// entra answers as Microsoft's servers do, without a network.
type entra struct {
	lasts  atomic.Int64 // seconds
	given  atomic.Int64
	status atomic.Int64 // of the refusal; 0: none
	down   atomic.Bool
	hold   chan struct{} // closed: it answers
	form   atomic.Pointer[string]
}

func newEntra() *entra {
	e := &entra{hold: make(chan struct{})}
	e.lasts.Store(3600)
	close(e.hold)
	return e
}

func (e *entra) RoundTrip(req *http.Request) (*http.Response, error) {
	<-e.hold
	if e.down.Load() {
		return nil, errors.New("dial tcp: connection refused")
	}
	reply := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(body)), Request: req,
		}, nil
	}
	if req.URL.String() != "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token" {
		return nil, errors.New("asked at " + req.URL.String())
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	form := string(raw)
	e.form.Store(&form)
	if status := int(e.status.Load()); status != 0 {
		return reply(status, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1 Correlation ID: 2","error_codes":[7000215]}`)
	}
	return reply(200, fmt.Sprintf(`{"token_type":"Bearer","expires_in":%d,"access_token":"eyJ.canary-%d"}`, e.lasts.Load(), e.given.Add(1)))
}

var app = EntraSource{Tenant: "tenant-1", Client: "client-1", Secret: "s3cr3t-canary"}

// One token serves all who ask, and a new one is fetched before it ends, or when it
// was refused.
func TestEntraToken(t *testing.T) {
	server := newEntra()
	e := NewEntra(app, server)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if token, err := e.Token(t.Context()); token != "eyJ.canary-1" || err != nil {
				t.Errorf("token %q, %v", token, err)
			}
		})
	}
	all.Wait()
	if form := *server.form.Load(); server.given.Load() != 1 || !strings.Contains(form, "client_id=client-1") ||
		!strings.Contains(form, "grant_type=client_credentials") || !strings.Contains(form, "scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default") {
		t.Errorf("%d tokens, asked for by %s", server.given.Load(), form)
	}
	if e.Refused() {
		t.Error("a token that was just given is replaced")
	}
	e.mu.Lock()
	e.fetched = time.Now().Add(-time.Hour)
	e.mu.Unlock()
	if !e.Refused() {
		t.Error("an old token is not replaced")
	}
	if token, err := e.Token(t.Context()); token != "eyJ.canary-2" || err != nil {
		t.Errorf("after a refusal: %q, %v", token, err)
	}
	e.mu.Lock()
	e.renew = time.Now()
	e.mu.Unlock()
	server.down.Store(true) // a renewal that fails does no harm while the token is good
	if token, err := e.Token(t.Context()); token != "eyJ.canary-2" || err != nil {
		t.Errorf("while Entra is away: %q, %v", token, err)
	}
	if secrets := strings.Join(e.Secrets(), " "); !strings.Contains(secrets, "canary-2") || !strings.Contains(secrets, app.Secret) {
		t.Errorf("secrets %v", secrets)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", e, e, e, e); strings.Contains(text, "canary") {
		t.Errorf("it prints %s", text)
	}
}

// Why there is no token is one line that says what to do, and holds no secret.
func TestEntraRefuses(t *testing.T) {
	server := newEntra()
	server.status.Store(401)
	_, err := NewEntra(app, server).Token(t.Context())
	if err == nil || errors.Is(err, ErrUnreachable) {
		t.Fatalf("refused: %v", err)
	}
	for _, part := range []string{"client-1", "tenant-1", "AADSTS7000215", "client_secret"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %s", err, part)
		}
	}
	if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "Trace") {
		t.Errorf("the error is %q", err)
	}
	server.status.Store(503)
	if _, err := NewEntra(app, server).Token(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("503: %v", err)
	}
	server.down.Store(true)
	if _, err := NewEntra(app, server).Token(t.Context()); !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "canary") {
		t.Errorf("no connection: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	held := newEntra()
	held.hold = make(chan struct{})
	if _, err := NewEntra(app, held).Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("who asked is gone: %v", err)
	}
	close(held.hold)
}

func TestEntraSettings(t *testing.T) {
	for _, test := range []struct {
		settings map[string]string
		some     bool
		want     string
	}{
		{map[string]string{}, false, ""},
		{map[string]string{"tenant_id": "t", "client_id": "c"}, false, ""},
		{map[string]string{"client_id": "c", "client_secret": "s"}, false, "tenant_id"},
		{map[string]string{"tenant_id": "t", "client_secret": "s"}, false, "client_id"},
		{map[string]string{"tenant_id": "t", "client_id": "c", "client_secret": "s"}, true, ""},
		{map[string]string{"azure_default_credential": "true"}, true, ""},
	} {
		e, err := EntraSettings(test.settings, nil)
		if (e != nil) != test.some || (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, %v", test.settings, e, err)
		}
	}
}

// noAzure takes away what the environment of this machine says.
func noAzure(t *testing.T) {
	for _, name := range []string{
		"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE",
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET", "AZURE_AUTHORITY_HOST",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")
	t.Setenv("PATH", t.TempDir())
}

// The search goes by the environment: an application by its secret, its certificate
// or a token of its platform's.
func TestEntraSearch(t *testing.T) {
	noAzure(t)
	dir := t.TempDir()
	t.Setenv("AZURE_TENANT_ID", "tenant-1")
	t.Setenv("AZURE_CLIENT_ID", "client-2")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})...)
	for name, text := range map[string]string{"cert.pem": string(both), "federated": "platform-canary\n", "bad.pem": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ variable, value, form string }{
		{"AZURE_FEDERATED_TOKEN_FILE", filepath.Join(dir, "federated"), "client_assertion=platform-canary&"},
		{"AZURE_CLIENT_CERTIFICATE_PATH", filepath.Join(dir, "cert.pem"), "client_assertion=ey"},
		{"AZURE_CLIENT_SECRET", "s", "client_secret=s"},
	} {
		t.Setenv(test.variable, test.value) // each comes before the last one
		server := newEntra()
		token, err := NewEntra(EntraSource{Scope: "https://ai.azure.com/.default"}, server).Token(t.Context())
		if err != nil || token != "eyJ.canary-1" {
			t.Fatalf("%s: %q, %v", test.variable, token, err)
		}
		form := *server.form.Load()
		if !strings.Contains(form+"&", test.form) || !strings.Contains(form, "client_id=client-2") || !strings.Contains(form, "ai.azure.com") {
			t.Errorf("%s: asked for by %s", test.variable, form)
		}
		if values, _ := url.ParseQuery(form); test.variable == "AZURE_CLIENT_CERTIFICATE_PATH" {
			parts := strings.Split(values.Get("client_assertion"), ".")
			signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
			sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
			if err := rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, sum[:], signature, nil); err != nil {
				t.Errorf("the assertion: %v", err)
			}
		}
	}
	t.Setenv("AZURE_CLIENT_SECRET", "")
	t.Setenv("AZURE_CLIENT_CERTIFICATE_PATH", filepath.Join(dir, "bad.pem"))
	if _, err := NewEntra(EntraSource{}, newEntra()).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "AZURE_CLIENT_CERTIFICATE_PATH") {
		t.Errorf("no certificate: %v", err)
	}
}

// A managed identity's token comes from a server of the machine's, and who is signed
// in is told by a command.
func TestEntraOfTheMachine(t *testing.T) {
	noAzure(t)
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		ends := time.Now().Add(time.Hour).Unix()
		switch {
		case q.Get("resource") != "https://cognitiveservices.azure.com":
			t.Errorf("%s", r.URL)
		case status != http.StatusOK:
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"error":"invalid_request","error_description":"Identity not found"}`)
		case r.URL.Path == "/metadata/identity/oauth2/token" && r.Header.Get("Metadata") == "true":
			_, _ = fmt.Fprintf(w, `{"access_token":"machine-canary","expires_on":"%d","expires_in":"3599"}`, ends)
		case r.URL.Path == "/app" && r.Header.Get("X-Identity-Header") == "h" && q.Get("client_id") == "client-3":
			_, _ = fmt.Fprintf(w, `{"access_token":"app-canary","expires_on":%d}`, ends)
		case r.URL.Path == "/ml" && r.Header.Get("Secret") == "h" && q.Get("clientid") == "client-3":
			_, _ = fmt.Fprintf(w, `{"access_token":"ml-canary","expires_in":3600}`)
		default:
			t.Errorf("%s %v", r.URL, r.Header)
		}
	}))
	t.Cleanup(srv.Close)
	want := func(token string) {
		t.Helper()
		e := NewEntra(EntraSource{Client: "client-3"}, newEntra())
		if got, err := e.Token(t.Context()); got != token || err != nil || time.Until(e.ends) < 50*time.Minute {
			t.Errorf("%q until %v, %v", got, e.ends, err)
		}
	}
	t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", srv.URL)
	want("machine-canary")
	t.Setenv("MSI_ENDPOINT", srv.URL+"/ml")
	t.Setenv("MSI_SECRET", "h")
	want("ml-canary")
	t.Setenv("IDENTITY_ENDPOINT", srv.URL+"/app")
	t.Setenv("IDENTITY_HEADER", "h")
	want("app-canary")
	status = http.StatusBadRequest
	if _, err := NewEntra(EntraSource{}, newEntra()).Token(t.Context()); err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "Identity not found") {
		t.Errorf("an identity that is not there: %v", err)
	}
	status = http.StatusServiceUnavailable
	if _, err := NewEntra(EntraSource{}, newEntra()).Token(t.Context()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("503: %v", err)
	}
}

func TestEntraOfWhoIsSignedIn(t *testing.T) {
	noAzure(t)
	if _, err := NewEntra(EntraSource{}, newEntra()).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "az login") || len(err.Error()) > 900 {
		t.Errorf("nothing to be found: %v", err)
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for name, prints := range map[string]string{
		"az":  `{"accessToken":"az-canary","expiresOn":"2099-01-02 15:04:05.000000","expires_on":4070000000}`,
		"azd": `{"token":"azd-canary","expiresOn":"2099-01-02T15:04:05Z"}`,
	} {
		script := "#!/bin/sh\n[ \"$6\" = t1 ] || [ \"$8\" = t1 ] || { echo 'Please run az login' >&2; exit 1; }\necho '" + prints + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if token, err := NewEntra(EntraSource{Tenant: "t1"}, newEntra()).Token(t.Context()); token != "az-canary" || err != nil {
		t.Errorf("az: %q, %v", token, err)
	}
	if err := os.Remove(filepath.Join(dir, "az")); err != nil {
		t.Fatal(err)
	}
	if token, err := NewEntra(EntraSource{Tenant: "t1"}, newEntra()).Token(t.Context()); token != "azd-canary" || err != nil {
		t.Errorf("azd: %q, %v", token, err)
	}
	if _, err := NewEntra(EntraSource{Tenant: "t2"}, newEntra()).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "Please run az login") {
		t.Errorf("nobody is signed in: %v", err)
	}
}
