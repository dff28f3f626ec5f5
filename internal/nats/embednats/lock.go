package embednats

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file in the store directory whose lock is the right to use
// the directory. It stays there: removing it would let two processes each lock
// a file of that name. Its content is the process id of the holder.
const lockName = "pelton.lock"

// LockedError is returned when another server uses the store directory. Two on
// one directory would corrupt it.
type LockedError struct {
	Dir string
	PID int // the process that holds it; 0 when unknown
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = fmt.Sprintf("process %d", e.PID)
		if e.PID == os.Getpid() {
			holder = "this process"
		}
	}
	return fmt.Sprintf("the store directory %s is in use by %s; stop it, or set PELTON_STORE_DIR to another directory", e.Dir, holder)
}

type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the store directory %s: %w; set PELTON_STORE_DIR to a directory that can be written", dir, reason(err))
	}
	free, err := lockFile(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	if !free {
		content, _ := os.ReadFile(path)
		file.Close()
		pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
		return nil, &LockedError{Dir: dir, PID: pid}
	}
	// Only a hint for people: the lock holds without it.
	if file.Truncate(0) == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &dirLock{file}, nil
}

// release gives the lock up; the end of the process does so too.
func (l *dirLock) release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}
