package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"pelton/internal/config"
	"pelton/internal/nats/natsconn"
	"pelton/internal/secret"
)

// Tenants is a server with a configuration of deploy/nats: an account for each
// of the tenants "a" and "b", in it the roles "producer", "collector", "runner",
// "gateway", "worker" and "admin", over TLS. It ends with the test.
type Tenants struct {
	T   testing.TB
	URL string
	CA  string // file with the authority that signed the server's certificate
}

// StartTenants starts a server with the configuration file, which may change
// its options.
func StartTenants(t testing.TB, file string, change ...func(*server.Options)) *Tenants {
	t.Helper()
	vars, ca := TenantsVars(t)
	opts, err := processConfig(file, vars)
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPHost, opts.HTTPPort, opts.NoSigs, opts.NoLog = "127.0.0.1", server.RANDOM_PORT, "", 0, true, true
	for _, f := range change {
		f(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not get ready")
	}
	return &Tenants{T: t, URL: strings.Replace(s.ClientURL(), "nats://", "tls://", 1), CA: ca}
}

// TenantsVars is the environment of such a server, and the file with the
// authority that its certificate comes from.
func TenantsVars(t testing.TB) (vars map[string]string, ca string) {
	t.Helper()
	ca, cert, key := certificates(t)
	vars = map[string]string{"NATS_SERVER_CERT": cert, "NATS_SERVER_KEY": key, "NATS_SERVER_STORE": t.TempDir()}
	for _, tenant := range []string{"a", "b"} {
		for _, role := range []string{"producer", "collector", "runner", "gateway", "worker", "admin"} {
			vars["TEAM_"+strings.ToUpper(tenant+"_"+role)] = password(tenant, role)
		}
	}
	return vars, ca
}

// environment is the process's: tests that run at once take turns with it.
var environment sync.Mutex

// processConfig reads a configuration whose variables come from the environment
// of the process, for as long as that takes.
func processConfig(file string, vars map[string]string) (*server.Options, error) {
	environment.Lock()
	defer environment.Unlock()
	for name, value := range vars {
		before, was := os.LookupEnv(name)
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
		defer func() {
			if was {
				_ = os.Setenv(name, before)
			} else {
				_ = os.Unsetenv(name)
			}
		}()
	}
	return server.ProcessConfigFile(file)
}

func password(tenant, role string) string { return "password-of-" + role + "-" + tenant }

// Config is the configuration of a process with one role of a tenant.
func (s *Tenants) Config(tenant, role string) *config.Config {
	cfg := config.Default()
	cfg.NATSURL, cfg.NATSCA, cfg.NATSInboxPrefix = s.URL, s.CA, "_INBOX_"+role
	cfg.NATSUser, cfg.NATSPassword = secret.New("team-"+tenant+"-"+role), secret.New(password(tenant, role))
	return cfg
}

// Environ is the same for a process of its own.
func (s *Tenants) Environ(tenant, role string) []string {
	return []string{
		"NATS_URL=" + s.URL, "NATS_CA=" + s.CA, "NATS_INBOX_PREFIX=_INBOX_" + role,
		"NATS_USER=team-" + tenant + "-" + role, "NATS_PASSWORD=" + password(tenant, role),
	}
}

// Conn connects with a role of a tenant, as Pelton's commands do.
func (s *Tenants) Conn(tenant, role string, opts ...nats.Option) *nats.Conn {
	s.T.Helper()
	return s.Connect(s.Config(tenant, role), opts...)
}

// Connect connects with a configuration.
func (s *Tenants) Connect(cfg *config.Config, opts ...nats.Option) *nats.Conn {
	s.T.Helper()
	nc, err := natsconn.Connect(s.T.Context(), cfg, "test", Logger(s.T), opts...)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(nc.Close)
	return nc
}

// certificates makes an authority, and with it a certificate for 127.0.0.1.
func certificates(t testing.TB) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "nats"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, serverKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return write("ca.pem", "CERTIFICATE", caDER), write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER)
}
