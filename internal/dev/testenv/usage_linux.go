package testenv

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a process takes of the machine.
type Usage struct {
	Inside
	Resident    int64 // bytes
	Files       int   // open file descriptors
	Connections int   // those of them that are sockets
}

// Usage tells what a process uses that was started with a file for it.
func (p *Process) Usage(file string) (u Usage, err error) {
	dir := "/proc/" + strconv.Itoa(p.PID())
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			if err != nil {
				return u, fmt.Errorf("%q: %w", line, err)
			}
			u.Resident = n << 10
		}
	}
	open, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return u, err
	}
	for _, entry := range open {
		u.Files++
		if to, err := os.Readlink(filepath.Join(dir, "fd", entry.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			u.Connections++
		}
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &u.Inside)
	}
	return u, err
}
