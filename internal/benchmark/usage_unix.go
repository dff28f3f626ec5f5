//go:build unix

package benchmark

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// cpuSeconds is the time all cores together have spent on this process.
func cpuSeconds() float64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peakMemory is the most that this process has had in memory. Linux counts the
// program that started it in its rusage, so there it is read elsewhere.
func peakMemory() int64 {
	if runtime.GOOS == "linux" {
		return highWater()
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return rssBytes(int64(u.Maxrss)) //nolint:unconvert // its type depends on the system
}

// rssBytes is what a rusage says of memory, in bytes: its unit depends on the system.
func rssBytes(most int64) int64 {
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return most
	}
	return most << 10
}

// childPeak is the most that a process which has ended had in memory.
func childPeak(state *os.ProcessState) int64 {
	u, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return rssBytes(int64(u.Maxrss)) //nolint:unconvert // its type depends on the system
}

func highWater() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
