package gather

import (
	"net"
	"time"
)

// Dialer dials servers for a NATS client whose writes are gathered; it is a
// nats.CustomDialer.
type Dialer struct {
	Timeout time.Duration // of one address; 0: the system's own
}

// Dial connects.
func (d Dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: d.Timeout}).Dial(network, address)
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}
