package jobs

import (
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// upload feeds a reader to the object store. The store makes one message of
// each Read and does not wait for its acknowledgement: what comes in lines would
// become a message per line, and what comes faster than the server writes would
// pile up in memory. So each Read fills the buffer, and now and then waits until
// the server has taken what was sent.
type upload struct {
	nc   *nats.Conn
	r    io.Reader
	sent int
}

// Pieces between two waits, and how long the server gets to take them.
const (
	uploadAhead = 8
	uploadWait  = time.Minute
)

func (u *upload) Read(p []byte) (int, error) {
	if u.sent++; u.sent%uploadAhead == 0 {
		if err := u.nc.FlushTimeout(uploadWait); err != nil {
			return 0, err
		}
	}
	n, err := io.ReadFull(u.r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the next Read says EOF
	}
	return n, err
}
