package loopback_test

import (
	"net/http/httptest"
	"testing"

	"pelton/internal/loopback"
)

func TestHost(t *testing.T) {
	for _, addr := range []string{"localhost", "LocalHost:80", "127.0.0.1", "127.9.9.9:1", "::1", "[::1]", "[::1]:80", "::ffff:127.0.0.1"} {
		if !loopback.Host(addr) {
			t.Errorf("%s is another machine's", addr)
		}
	}
	for _, addr := range []string{"", ":80", "0.0.0.0:80", "[::]:80", "10.0.0.1", "localhost.example:80", "127.0.0.1.example", "[fe80::1%lo]:80", "x"} {
		if loopback.Host(addr) {
			t.Errorf("%s is this machine's", addr)
		}
	}
}

func TestAsked(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost:8080/", nil)
	if !loopback.Asked(r) {
		t.Error("refused")
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-IP"} {
		proxied := r.Clone(t.Context())
		proxied.Header.Set(header, "127.0.0.1")
		if loopback.Asked(proxied) {
			t.Errorf("with %s", header)
		}
	}
	if r.Host = "pelton.example"; loopback.Asked(r) {
		t.Error("under another name") // a page elsewhere whose name was made to point here
	}
}
