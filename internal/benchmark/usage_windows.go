package benchmark

import (
	"os"

	"golang.org/x/sys/windows"
)

// cpuSeconds is the time all cores together have spent on this process.
func cpuSeconds() float64 {
	var created, exited, kernel, user windows.Filetime
	if windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user) != nil {
		return 0
	}
	ticks := func(t windows.Filetime) float64 { return float64(uint64(t.HighDateTime)<<32 | uint64(t.LowDateTime)) }
	return (ticks(kernel) + ticks(user)) / 1e7
}

// peakMemory is not known here.
func peakMemory() int64 { return 0 }

// childPeak neither.
func childPeak(*os.ProcessState) int64 { return 0 }
