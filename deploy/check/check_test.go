package check

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const root = "../.."

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var binary struct {
	sync.Once
	path string
	err  error
	out  []byte
}

// pelton builds the command as the Dockerfile does, once.
func pelton(t *testing.T) string {
	t.Helper()
	binary.Do(func() {
		dir, err := os.MkdirTemp("", "pelton-check-*")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "pelton")
		build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.version=v0-check", "-o", binary.path, "./cmd/pelton")
		build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		binary.out, binary.err = build.CombinedOutput()
	})
	if binary.err != nil {
		t.Fatalf("%v\n%s", binary.err, binary.out)
	}
	return binary.path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
	os.Exit(code)
}

// parses holds a command line of pelton to its parser, without running it.
func parses(t *testing.T, args []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), pelton(t), append(append([]string{}, args...), "-h")...).CombinedOutput()
	if err != nil {
		t.Errorf("pelton %s: %s", strings.Join(args, " "), out)
	}
}

var variable = regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\|")

// variables are those of the README's table, and what else a worker reads.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	list := map[string]bool{"GOMEMLIMIT": true, "TMPDIR": true, "OTEL_EXPORTER_OTLP_ENDPOINT": true}
	for _, m := range variable.FindAllStringSubmatch(read(t, "README.md"), -1) {
		list[m[1]] = true
	}
	if len(list) < 20 {
		t.Fatalf("only %d variables in the README", len(list))
	}
	return list
}

// known complains of a variable that nobody reads.
func known(t *testing.T, where, name string) {
	t.Helper()
	if !variables(t)[name] {
		t.Errorf("%s: %s is no variable of the README", where, name)
	}
}
