package testenv

import (
	"testing"

	"pelton/internal/dev/tcpproxy"
)

// NewProxy listens on a free port until the end of the test. Until
// [tcpproxy.Proxy.Point] it has nowhere to pass connections on to, and closes
// them.
func NewProxy(t testing.TB) *tcpproxy.Proxy {
	t.Helper()
	p, err := tcpproxy.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}
