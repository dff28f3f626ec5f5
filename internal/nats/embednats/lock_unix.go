//go:build !windows

package embednats

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile reports whether it got the lock. The lock belongs to this open file:
// a second one in the same process is refused too.
func lockFile(file *os.File) (bool, error) {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, err
		}
	}
}
