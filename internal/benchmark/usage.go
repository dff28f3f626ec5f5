package benchmark

import "runtime/metrics"

// usage is what a process has used, or used between two moments.
type usage struct {
	CPU    float64 `json:"cpu"`    // seconds, of all cores together
	Allocs float64 `json:"allocs"` // objects on the heap
	Bytes  float64 `json:"bytes"`  // of them
	Peak   int64   `json:"peak"`   // bytes of memory, the most the process ever had; 0 where the system does not tell
}

// used is what this process has used so far.
func used() usage {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return usage{
		CPU: cpuSeconds(), Allocs: float64(samples[0].Value.Uint64()), Bytes: float64(samples[1].Value.Uint64()), Peak: peakMemory(),
	}
}

func (u usage) since(before usage) usage {
	return usage{CPU: u.CPU - before.CPU, Allocs: u.Allocs - before.Allocs, Bytes: u.Bytes - before.Bytes, Peak: u.Peak}
}
