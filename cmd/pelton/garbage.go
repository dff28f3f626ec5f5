package main

import (
	"os"
	"runtime/debug"
	"sync"
)

// garbageRoom is memory that is asked for and never touched, so that it takes
// none. The collector runs when the heap has doubled and counts it in: a process
// whose own live heap is small, as that of a run is, would be collected dozens
// of times a second under load. It costs at most as much in garbage that
// lies around, and saves a fifth of the processor's time of a request. The first
// call makes it, and it is held from then on.
var garbageRoom = sync.OnceValue(func() []byte {
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) < 4*garbageRoomSize {
		return nil // who sets these knows better
	}
	return make([]byte, garbageRoomSize)
})

const garbageRoomSize = 64 << 20
