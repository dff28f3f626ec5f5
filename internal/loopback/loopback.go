// Package loopback tells what comes from this machine.
package loopback

import (
	"net"
	"net/http"
	"strings"
)

// Host reports whether an address, with or without a port, is this machine's
// own: localhost, or an address of the loopback interface. No name is looked up.
func Host(addr string) bool {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	addr = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	if strings.EqualFold(addr, "localhost") {
		return true
	}
	ip := net.ParseIP(addr)
	return ip != nil && ip.IsLoopback()
}

// Asked reports whether a request asks this machine for what is its own, and was
// not handed on by a proxy. Where it comes from the caller has to look at: a name
// in a request may be any.
func Asked(r *http.Request) bool {
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if r.Header.Get(header) != "" {
			return false
		}
	}
	return Host(r.Host)
}
