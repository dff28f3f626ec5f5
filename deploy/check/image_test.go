package check

import (
	"bufio"
	"bytes"
	"debug/elf"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A binary that a scratch image can hold needs no loader and no library.
func TestStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("an image holds a binary for Linux")
	}
	file, err := elf.Open(pelton(t))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if libraries, _ := file.ImportedLibraries(); len(libraries) > 0 {
		t.Errorf("needs %v", libraries)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("needs a loader")
		}
	}
}

// The Dockerfile builds as the Makefile and the release do: what one of them says
// of itself, the others do too.
func TestOneWayToBuild(t *testing.T) {
	const flags = "-s -w -buildid= -X main.version="
	for _, path := range []string{"deploy/Dockerfile", "Makefile", "deploy/release/main.go"} {
		text := read(t, path)
		if !strings.Contains(text, flags) || !strings.Contains(text, "-trimpath") || !strings.Contains(text, "-buildvcs=false") || !strings.Contains(text, "main.commit=") || !strings.Contains(text, "main.date=") {
			t.Errorf("%s builds otherwise", path)
		}
	}
}

// inImage makes what the last stage of the Dockerfile does, as a folder, and
// returns a command that runs in it: that folder is its root, it is user 65532,
// it has the environment of the image and nothing else.
func inImage(t *testing.T) func(args ...string) *exec.Cmd {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("a root directory of its own takes root, on Linux")
	}
	dir, err := os.MkdirTemp("", "pelton-image-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, err := os.ReadFile(pelton(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "pelton"), binary, 0o755)
	}
	for _, sub := range []string{"tmp", "data"} {
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, sub), 0o755)
		}
		if err == nil {
			err = os.Chown(filepath.Join(dir, sub), 65532, 65532)
		}
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, "deploy/Dockerfile")
	line := regexp.MustCompile(`(?m)^ENV (.*)$`).FindStringSubmatch(text)
	if line == nil || !strings.Contains(text, "\nUSER 65532:65532\n") || !strings.Contains(text, `ENTRYPOINT ["/pelton"]`) || !strings.Contains(text, `HEALTHCHECK`) {
		t.Fatal("the Dockerfile is another than this test knows")
	}
	env := append(strings.Fields(line[1]), "PELTON_HTTP_ADDR=127.0.0.1:0", "OPENAI_BASE_URL=http://127.0.0.1:1/v1")
	return func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/pelton", args...)
		cmd.Path, cmd.Err, cmd.Dir, cmd.Env = "/pelton", nil, "/", env
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return cmd
	}
}

// running is a worker in the image.
type running struct {
	cmd  *exec.Cmd
	http string // where it serves
	env  []string
}

var served = regexp.MustCompile(`"url":"(http://[^"]+)"`)

// startWorker starts the image's command, and returns when it takes work.
func startWorker(t *testing.T, command func(...string) *exec.Cmd) *running {
	t.Helper()
	r := &running{cmd: command("worker", "--listen", "127.0.0.1:0")}
	stderr, err := r.cmd.StderrPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	lines, ready := bufio.NewScanner(stderr), make(chan bool, 1)
	var said bytes.Buffer
	go func() {
		told := false
		for lines.Scan() {
			if !told {
				said.WriteString(lines.Text() + "\n")
			}
			if m := served.FindStringSubmatch(lines.Text()); m != nil {
				r.http = strings.TrimSuffix(m[1], "/")
			}
			if strings.Contains(lines.Text(), "pelton: ready:") && !told {
				told = true
				ready <- true
			}
		}
		if !told {
			ready <- false
		}
	}()
	select {
	case ok := <-ready:
		if !ok {
			t.Fatalf("the worker ended:\n%s", said.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("the worker does not begin")
	}
	r.env = append(slices.DeleteFunc(slices.Clone(r.cmd.Env), func(v string) bool { return strings.HasPrefix(v, "PELTON_HTTP_ADDR=") }),
		"PELTON_HTTP_ADDR="+strings.TrimPrefix(r.http, "http://"))
	return r
}

// The image by hand: the worker runs without root and without anything around
// it, says that it is well by the command of the health check, writes nowhere but
// to its store, and ends in good order.
func TestImage(t *testing.T) {
	command := inImage(t)
	worker := startWorker(t, command)
	health := regexp.MustCompile(`HEALTHCHECK .*CMD \["/pelton", "worker", "--healthcheck"\]`)
	if !health.MatchString(read(t, "deploy/Dockerfile")) {
		t.Error("the health check is another")
	}
	ask := command("worker", "--healthcheck")
	ask.Env = worker.env
	// No upstream is there, which is no reason to be ill: none was called.
	if out, err := ask.CombinedOutput(); err != nil {
		t.Errorf("worker --healthcheck: %v\n%s", err, out)
	}
	if err := worker.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.cmd.Wait() }()
	select {
	case err := <-ended:
		if code := worker.cmd.ProcessState.ExitCode(); code != 0 && code != 130 {
			t.Errorf("it ended with %d, %v", code, err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	ask = command("worker", "--healthcheck")
	ask.Env = worker.env
	if out, err := ask.CombinedOutput(); err == nil {
		t.Errorf("a worker that is gone is well: %s", out)
	}
}

// What a worker tells is in the table, and what it has told without a job too.
func TestWorkerTells(t *testing.T) {
	worker := startWorker(t, inImage(t))
	answer, err := http.Get(worker.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	told := map[string]bool{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "# TYPE pelton_"); ok {
			name, _, _ = strings.Cut("pelton_"+name, " ")
			told[name] = true
			if _, known := metrics[name]; !known {
				t.Errorf("%s is told, and in no table", name)
			}
		}
	}
	for _, name := range []string{"pelton_requests_wanted", "pelton_queue_age_seconds", "pelton_slots", "pelton_slots_busy", "pelton_inflight", "pelton_store_bytes"} {
		if !told[name] {
			t.Errorf("%s is not told; there are %v", name, told)
		}
	}
	// The others come with the first event; their names are in the code.
	code := ""
	paths, _ := filepath.Glob(filepath.Join(root, "internal/metrics/*.go"))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code += string(data)
	}
	for name, labels := range metrics {
		if name != "up" && !strings.Contains(code, `"`+name+`"`) {
			t.Errorf("no worker tells %s", name)
		}
		for _, label := range labels {
			if !strings.Contains(code, `"`+label+`"`) {
				t.Errorf("%s: no metric has the label %s", name, label)
			}
		}
	}
}
