package embednats

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile reports whether it got the lock. Windows forbids others to read what
// is locked, so the locked byte lies far behind the process id.
func lockFile(file *os.File) (bool, error) {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
