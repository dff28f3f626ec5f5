package testenv

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"time"
)

// Inside is what only the process itself knows of what it uses.
type Inside struct {
	Goroutines int
	Heap       uint64 // bytes in use after the last collection
}

// writeUsage keeps the file up to date until ctx ends.
func writeUsage(ctx context.Context, file string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		text, err := json.Marshal(Inside{Goroutines: runtime.NumGoroutine(), Heap: m.HeapInuse})
		if err == nil && os.WriteFile(file+".new", text, 0o600) == nil {
			_ = os.Rename(file+".new", file)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
