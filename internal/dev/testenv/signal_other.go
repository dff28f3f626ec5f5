//go:build !unix

package testenv

import "os"

// Elsewhere a process cannot be paused; sending these fails, and with it the test.
var (
	sigStop = os.Interrupt
	sigCont = os.Interrupt
)
