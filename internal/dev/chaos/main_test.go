package chaos

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
)

func TestMain(m *testing.M) {
	if played, err := Play(os.Stdin, os.Stdout); played {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, append(testenv.Leaks(), goleak.IgnoreAnyFunction("pelton/internal/dev/child.forker"))...)
}
