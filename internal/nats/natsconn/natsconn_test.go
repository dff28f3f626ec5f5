package natsconn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pelton/internal/config"
	"pelton/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func run(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// connectTo is Connect for a configuration that starts from the default.
func connectTo(t *testing.T, change func(*config.Config)) (*nats.Conn, error) {
	t.Helper()
	cfg := config.Default()
	change(cfg)
	nc, err := Connect(t.Context(), cfg, "test", zerolog.Nop())
	if nc != nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

// freePort is a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestAuthentication(t *testing.T) {
	pair, _ := nkeys.CreateUser()
	public, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	seedFile := write(t, "user.nk", seed)
	byKey := run(t, server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})
	byUser := run(t, server.Options{Username: "bob", Password: "hunter2"})
	byToken := run(t, server.Options{Authorization: "hunter2"})

	tests := []struct {
		name   string
		server *server.Server
		change func(*config.Config)
	}{
		{"nkey", byKey, func(c *config.Config) { c.NATSNkey = seedFile }},
		{"user", byUser, func(c *config.Config) {
			c.NATSUser, c.NATSPassword = secret.New("bob"), secret.New("hunter2")
		}},
		{"token", byToken, func(c *config.Config) { c.NATSUser = secret.New("hunter2") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := connectTo(t, func(c *config.Config) { c.NATSURL = test.server.ClientURL(); test.change(c) }); err != nil {
				t.Error(err)
			}
			_, err := connectTo(t, func(c *config.Config) {
				c.NATSURL = strings.Replace(test.server.ClientURL(), "://", "://bob:wrong-hunter2@", 1)
			})
			var failed *Error
			if !errors.As(err, &failed) || failed.Kind != Refused || !errors.Is(err, nats.ErrAuthorization) {
				t.Fatalf("without credentials: %v", err)
			}
			if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "NATS_CREDS") {
				t.Errorf("message: %v", err)
			}
		})
	}
	_, err := connectTo(t, func(c *config.Config) { c.NATSURL = strings.Replace(byUser.ClientURL(), "://", "://bob:hunter2@", 1) })
	if err != nil {
		t.Error("credentials in the address:", err)
	}
}

func TestUnreachable(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	_, err := connectTo(t, func(c *config.Config) { c.NATSURL = "nats://bob:hunter2@" + address })
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != Unreachable {
		t.Fatalf("got %v", err)
	}
	want := "cannot reach NATS at nats://" + address + ": connection refused; start one with `pelton worker`, or set NATS_URL"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

// A server that accepts and says nothing is given up when the context ends.
func TestContextEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			accepted <- conn
			cancel()
		}
	}()
	cfg := config.Default()
	cfg.NATSURL = "nats://" + l.Addr().String()
	for _, connect := range []func(context.Context, *config.Config, string, zerolog.Logger, ...nats.Option) (*nats.Conn, error){Connect, ConnectRetry} {
		if _, err := connect(ctx, cfg, "test", zerolog.Nop()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	(<-accepted).Close()
	l.Close()
}

func TestTLS(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certFile, keyFile := write(t, "cert.pem", certPEM), write(t, "key.pem", keyPEM)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	s := run(t, server.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}, TLSTimeout: 5})
	clear := run(t, server.Options{})

	if _, err := connectTo(t, func(c *config.Config) {
		c.NATSURL, c.NATSCA, c.NATSCert, c.NATSKey = s.ClientURL(), certFile, certFile, keyFile
	}); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		url, ca, cert string
		kind          Kind
		want          string
	}{
		"unknown authority": {s.ClientURL(), "", "", Refused, "NATS_CA"},
		"no TLS there":      {strings.Replace(clear.ClientURL(), "nats:", "tls:", 1), "", "", Refused, "no TLS"},
		"CA is no file":     {s.ClientURL(), "/nowhere", "", Setup, "NATS_CA: cannot read the file: open /nowhere"},
		"CA holds nothing":  {s.ClientURL(), keyFile, "", Setup, "holds no certificate"},
		"wrong certificate": {s.ClientURL(), certFile, keyFile, Setup, "NATS_CERT"},
	} {
		_, err := connectTo(t, func(c *config.Config) {
			c.NATSURL, c.NATSCA, c.NATSCert, c.NATSKey = test.url, test.ca, test.cert, keyFile
		})
		var failed *Error
		if !errors.As(err, &failed) || failed.Kind != test.kind || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContextFiles(t *testing.T) {
	s := run(t, server.Options{Username: "bob", Password: "hunter2"})
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	dir := filepath.Join(home, "nats", "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"good":   fmt.Sprintf(`{"description":"","url":%q,"user":"bob","password":"hunter2","inbox_prefix":"_MINE"}`, s.ClientURL()),
		"domain": `{"url":"nats://x","jetstream_domain":"hub"}`,
		"broken": `{"url":`,
		"creds":  fmt.Sprintf(`{"url":%q,"creds":"$XDG_CONFIG_HOME/none.creds"}`, s.ClientURL()),
		"down":   fmt.Sprintf(`{"url":"nats://127.0.0.1:%d"}`, freePort(t)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := connectTo(t, func(c *config.Config) { c.NATSContext = "good" })
	if err != nil {
		t.Fatal(err)
	}
	if inbox := nc.NewInbox(); !strings.HasPrefix(inbox, "_MINE.") {
		t.Errorf("inbox %s", inbox)
	}
	if _, err := connectTo(t, func(c *config.Config) { c.NATSContext = filepath.Join(dir, "good.json") }); err != nil {
		t.Error("by path:", err)
	}
	if _, err := connectTo(t, func(c *config.Config) { c.NATSContext, c.NATSUser = "good", secret.New("other") }); !errors.Is(err, nats.ErrAuthorization) {
		t.Error("a variable does not stand over the context:", err)
	}
	for name, want := range map[string]string{
		"none":   "NATS_CONTEXT: there is no context none; there are broken, creds, domain, down, good",
		"../x":   `NATS_CONTEXT: "../x" is not the name of a context`,
		"domain": "NATS_CONTEXT: the context domain sets jetstream_domain, which pelton cannot do",
		"broken": "is not a context file",
		"creds":  "NATS context creds: cannot read the file: open " + home + "/none.creds",
		"down":   "connection refused; check the NATS context down",
	} {
		_, err := connectTo(t, func(c *config.Config) { c.NATSContext = name })
		var failed *Error
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := connectTo(t, func(c *config.Config) { c.NATSCreds = filepath.Join(dir, "good.json") }); err == nil || !strings.Contains(err.Error(), "is no credentials file") {
		t.Errorf("wrong credentials file: %v", err)
	}
}

// lines collects log lines and tells when one with the given text has come.
type lines struct {
	mu   sync.Mutex
	cond *sync.Cond
	buf  bytes.Buffer
}

func newLines() *lines { l := &lines{}; l.cond = sync.NewCond(&l.mu); return l }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.cond.Broadcast()
	return l.buf.Write(p)
}

func (l *lines) await(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !strings.Contains(l.buf.String(), text) {
		l.cond.Wait()
	}
	return l.buf.String()
}

func TestRetryUntilThere(t *testing.T) {
	log := newLines()
	port := freePort(t)
	cfg := config.Default()
	cfg.NATSURL = fmt.Sprintf("nats://bob:hunter2@127.0.0.1:%d", port)
	done := make(chan error, 1)
	go func() {
		nc, err := ConnectRetry(t.Context(), cfg, "test", zerolog.New(log))
		if err == nil {
			nc.Close()
		}
		done <- err
	}()
	if text := log.await("still trying"); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
	run(t, server.Options{Port: port})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRetryGivesUpOnSetup(t *testing.T) {
	cfg := config.Default()
	cfg.NATSCreds = "/nowhere"
	_, err := ConnectRetry(t.Context(), cfg, "test", zerolog.Nop())
	var failed *Error
	if !errors.As(err, &failed) || failed.Kind != Setup {
		t.Errorf("got %v", err)
	}
}

func TestLogsWhatHappens(t *testing.T) {
	port := freePort(t)
	options := server.Options{Port: port, Users: []*server.User{{Username: "bob", Password: "hunter2",
		Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"secret.>"}}}}}}
	s := run(t, options)
	log := newLines()
	cfg := config.Default()
	cfg.NATSURL, cfg.NATSUser, cfg.NATSPassword = s.ClientURL(), secret.New("bob"), secret.New("hunter2")
	nc, err := Connect(t.Context(), cfg, "test", zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	for range 100 {
		if err := nc.Publish("secret.x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if text := log.await("NATS denied this subject"); strings.Count(text, "denied") > 10 {
		t.Error("logs every denial")
	}

	slow, err := nc.SubscribeSync("slow")
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.SetPendingLimits(1, -1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_ = nc.Publish("slow", nil)
	}
	if text := log.await("were dropped"); !strings.Contains(text, `"subject":"slow"`) {
		t.Error(text)
	}

	s.Shutdown()
	s.WaitForShutdown()
	log.await("disconnected from NATS")
	run(t, options)
	if text := log.await("reconnected to NATS"); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"nats://bob:hunter2@h:1,tls://token@h2": "nats://h:1,tls://h2",
		"nats://bob:p@ss@h":                     "nats://h",
		"nats://bob:p/w?#@h":                    "nats://h", // none of these may stand in it, but it may be one all the same
		"bob:hunter2@h:1,token@h2":              "h:1,h2",
		"h:4222":                                "h:4222",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if err := scrub(errors.New(`parse "nats://bob:hunter2@h:x": invalid port`)); strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

// The waits grow, and the warning does not come with each of them.
func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cfg := config.Default()
		cfg.NATSURL = "nats://127.0.0.1:1"
		var log bytes.Buffer
		dialer := &refusing{}
		_, err := ConnectRetry(ctx, cfg, "test", zerolog.New(&log), nats.SetCustomDialer(dialer))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := strings.Count(log.String(), "\n"); n != 2 || dialer.calls < 10 || dialer.calls > 40 {
			t.Errorf("%d warnings and %d attempts in a minute", n, dialer.calls)
		}
	})
}

type refusing struct{ calls int }

func (r *refusing) Dial(string, string) (net.Conn, error) {
	r.calls++
	return nil, errors.New("connection refused")
}

// Answers come under the prefix that is asked for, and to no other.
func TestInboxPrefix(t *testing.T) {
	s := run(t, server.Options{})
	nc, err := connectTo(t, func(c *config.Config) { c.NATSURL, c.NATSInboxPrefix = s.ClientURL(), "_INBOX_producer" })
	if err != nil {
		t.Fatal(err)
	}
	if inbox := nc.NewInbox(); !strings.HasPrefix(inbox, "_INBOX_producer.") {
		t.Error(inbox)
	}
	for _, bad := range []string{"_INBOX.>", "a.*", "a.", "a b"} {
		_, err := connectTo(t, func(c *config.Config) { c.NATSURL, c.NATSInboxPrefix = s.ClientURL(), bad })
		var failed *Error
		if !errors.As(err, &failed) || failed.Kind != Setup || !strings.Contains(err.Error(), "NATS_INBOX_PREFIX") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
