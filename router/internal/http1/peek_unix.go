//go:build unix

package http1

import (
	"errors"
	"syscall"
)

// canPeek tells whether a kept connection can be looked at without waiting.
const canPeek = true

// nothingToRead reports whether a connection is open and silent. It does not
// wait.
func nothingToRead(fd uintptr) bool {
	var one [1]byte
	n, err := syscall.Read(int(fd), one[:])
	return n < 0 && (errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK))
}
