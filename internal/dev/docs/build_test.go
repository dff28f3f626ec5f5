package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// goTool is the real go command: PATH has a stand-in while the tests run.
var goTool, _ = exec.LookPath("go")

// binaries is a directory with the command in it, built as the README installs it.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pelton-docs")
	if err != nil {
		return "", err
	}
	build := exec.Command(goTool, "install", "./cmd/pelton")
	build.Dir = root
	build.Env = append(os.Environ(), "GOBIN="+dir)
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// command is the path of the command.
func command(t *testing.T) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pelton", "pelton.exe"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Fatal("go install has installed nothing")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cleaned removes the binaries when the tests have run.
type cleaned struct{ *testing.M }

func (m cleaned) Run() int {
	defer func() {
		if dir, _ := binaries(); dir != "" {
			_ = os.RemoveAll(dir)
		}
	}()
	return m.M.Run()
}
