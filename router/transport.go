package router

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"pelton/router/internal/file"
	"pelton/router/internal/http1"
)

// transports are those of a router: one, shared by all deployments, and one
// more for each other way to reach a server.
type transports struct {
	conns int
	given http.RoundTripper // in the place of all
	made  map[route]*http1.Transport
}

// route is what makes a transport differ.
type route struct {
	proxy, caFile string
	insecure      bool
}

// of returns the transport for a deployment. The error says what is wrong with
// the way that is configured.
func (t *transports) of(d Deployment) (http.RoundTripper, error) {
	key := route{proxy: d.Proxy.Reveal(), caFile: d.CAFile, insecure: d.Insecure}
	if found := t.made[key]; found != nil {
		return t.orGiven(found), nil
	}
	made := newTransport(t.conns)
	if key.proxy != "" {
		proxy, err := parseProxy(key.proxy)
		if err != nil {
			return nil, err
		}
		made.Proxy = http.ProxyURL(proxy)
	}
	if key.caFile != "" {
		pool, err := readCAs(key.caFile)
		if err != nil {
			return nil, err
		}
		made.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if key.insecure {
		made.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // the configuration says so, and is warned about
	}
	if t.made == nil {
		t.made = map[route]*http1.Transport{}
	}
	t.made[key] = http1.New(made)
	return t.orGiven(t.made[key]), nil
}

func (t *transports) orGiven(made *http1.Transport) http.RoundTripper {
	if t.given != nil {
		return t.given
	}
	return made
}

// CheckAuthorities says what is wrong with a [Deployment]'s CAFile.
func CheckAuthorities(path string) error {
	_, err := readCAs(path)
	return err
}

// readCAs returns the system's authorities and those of a PEM file.
func readCAs(path string) (*x509.CertPool, error) {
	text, err := file.Read(path, file.Max)
	if err != nil {
		return nil, fmt.Errorf("own CA: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("own CA: %s holds no certificate in PEM form", path)
	}
	return pool, nil
}

// parseProxy reads a proxy's address. No error repeats it: it may hold a password.
func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("proxy: is no URL")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, errors.New("proxy: must begin with http://, https:// or socks5://")
	}
	if u.Host == "" {
		return nil, errors.New("proxy: names no host")
	}
	return u, nil
}

func (t *transports) close() {
	for _, one := range t.made {
		one.CloseIdleConnections()
	}
}

// newTransport returns the transport that deployments share. It keeps one
// idle connection per call that may run at once, so that no burst pays for new
// handshakes. There is no bound on the wait for an answer's first byte: a
// completion arrives whole, and the attempt's timeout covers it.
func newTransport(conns int) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		ExpectContinueTimeout:  time.Second,
		// A peer that vanished is found by pings: many calls share the connection.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}
