package http1

import (
	"errors"
	"fmt"
	"time"
)

// StaleError is the end of a call on a kept connection that the server closed
// before the first byte of an answer: as a rule it had closed it for its age, and
// the request crossed its word on the way. The request can be sent again, on a
// fresh connection.
type StaleError struct {
	Idle time.Duration // how long the connection had not been used
	Err  error         // how it ended
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("the server closed a kept connection, unused for %v, before it answered: %v", e.Idle.Round(time.Millisecond), e.Err)
}

func (e *StaleError) Unwrap() error { return e.Err }

// soon is how late a kept connection may end and be taken for one that was closed
// before its call: the time of a way there and back, on a machine that has much
// to do. A server that ends one later has had the request.
const soon = 5 * time.Second

// errStale is the end of a kept connection that took nothing of its call: another
// one can have it.
var errStale = errors.New("the connection was closed meanwhile")
