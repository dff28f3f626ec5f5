// Package route is the ways to servers: through which proxy, and whom to trust.
package route

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

// Pool is the transports to servers: one, shared by all, and one more for each
// other way to reach one. It is not safe for concurrent use; the transports are.
type Pool struct {
	Conns int               // idle connections that are kept per host
	Given http.RoundTripper // in the place of all; nil: none is
	made  map[Way]*http1.Transport
}

// Way is what makes a transport differ. The zero value is the ordinary one.
type Way struct {
	Proxy    string // its address; empty: as the environment says
	CAFile   string // further authorities to trust, in PEM form; empty: none
	Insecure bool   // every certificate is trusted
}

// To returns the transport for a way. The error says what is wrong with it.
func (t *Pool) To(key Way) (http.RoundTripper, error) {
	if found := t.made[key]; found != nil {
		return t.orGiven(found), nil
	}
	made := newTransport(t.Conns)
	if key.Proxy != "" {
		proxy, err := ParseProxy(key.Proxy)
		if err != nil {
			return nil, err
		}
		made.Proxy = http.ProxyURL(proxy)
	}
	if key.CAFile != "" {
		pool, err := ReadCAs(key.CAFile)
		if err != nil {
			return nil, err
		}
		made.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if key.Insecure {
		made.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // the configuration says so, and is warned about
	}
	if t.made == nil {
		t.made = map[Way]*http1.Transport{}
	}
	t.made[key] = http1.New(made)
	return t.orGiven(t.made[key]), nil
}

func (t *Pool) orGiven(made *http1.Transport) http.RoundTripper {
	if t.Given != nil {
		return t.Given
	}
	return made
}

// ReadCAs returns the system's authorities and those of a PEM file.
func ReadCAs(path string) (*x509.CertPool, error) {
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

// ParseProxy reads a proxy's address. No error repeats it: it may hold a password.
func ParseProxy(text string) (*url.URL, error) {
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

// Close closes the connections that no call is using.
func (t *Pool) Close() {
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
