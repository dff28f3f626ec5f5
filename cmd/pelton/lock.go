package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// lock makes this process the only one that writes the output and what lies
// beside it, until release. The file goes with the directory when nothing else
// is left in it.
func (b beside) lock() (release func(), err error) {
	path := filepath.Join(b.dir(), "lock")
	for {
		if err := os.MkdirAll(b.dir(), 0o700); err != nil {
			return nil, setup(fmt.Errorf("%s: cannot be made: %w", b.dir(), pathReason(err)))
		}
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if os.IsNotExist(err) {
			continue // another run has just ended and cleared up
		}
		if err != nil {
			return nil, setup(fmt.Errorf("%s: %w", path, pathReason(err)))
		}
		free, err := lockFile(file)
		if err == nil && !free {
			err = fmt.Errorf("%s: another run is writing it", b.out)
		}
		if err != nil {
			file.Close()
			return nil, setup(err)
		}
		mine, err := file.Stat()
		there, err2 := os.Stat(path)
		if err == nil && err2 == nil && os.SameFile(mine, there) {
			return func() {
				_ = os.Remove(path) // before it is given up: whoever waits looks again
				file.Close()
				_ = os.Remove(b.dir())
			}, nil
		}
		file.Close() // it was removed under our hands
	}
}
