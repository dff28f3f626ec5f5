//go:build !unix

package child

import (
	"os"
	"os/exec"
)

// Elsewhere a process cannot be paused: sending these fails, and says so.
var (
	sigStop = os.Interrupt
	sigCont = os.Interrupt
	sigTerm = os.Interrupt
)

func tie(*exec.Cmd) {}
