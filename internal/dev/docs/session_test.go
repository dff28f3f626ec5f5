//go:build unix

package docs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// session is a reader who follows a section of a document from its top: in one
// directory, with what was exported and what was started.
type session struct {
	t      *testing.T
	dir    string
	env    []string
	swap   *strings.Replacer // addresses of the documents by those of this session
	state  string            // file with what was exported
	http   string            // in the place of 127.0.0.1:9321
	jobs   []string          // that are there
	live   []*process        // servers, the oldest first
	undo   []func()          // what keeps a worker from draining
	number int               // of the last statement
}

// process is a statement that runs.
type process struct {
	text string
	kind string // of a server: service (which was there before), worker, mock, gateway, nats-server
	nats string // URL of the NATS server that a worker runs or uses
	cmd  *exec.Cmd
	out  string // file with what it writes
	done chan struct{}
	err  error
}

// patience is how long anything may take: far more than it does.
const patience = time.Minute

func newSession(t *testing.T, built string) *session {
	dir := t.TempDir()
	s := &session{t: t, dir: filepath.Join(dir, "here"), state: filepath.Join(dir, "exports"), http: freeAddress(t)}
	mock, tls := freeAddress(t), freeAddress(t)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(collector.Close)
	home := filepath.Join(dir, "home")
	for _, d := range []string{s.dir, home, filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	s.swap = strings.NewReplacer(
		"127.0.0.1:9321", s.http, "0.0.0.0:9321", s.http, "127.0.0.1:8089", mock,
		"http://127.0.0.1:4318", collector.URL, "tls://nats:4222", "tls://"+tls,
		"=/etc/nats/", "="+dir+"/here/", "=/data", "="+dir+"/data",
	)
	s.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + filepath.Join(dir, "tmp"),
		"OPENAI_BASE_URL=" + upstream(t), "OPENAI_API_KEY=none", "PELTON_HTTP_ADDR=" + s.http, "PELTON_HTTP_TOKEN=a token of the tests",
		"PELTON_WEBHOOKS=nightly=" + collector.URL, "PELTON_WEBHOOK_SECRETS=nightly=whsec_" + strings.Repeat("c2VjcmV0", 4),
		varPelton + "=" + command(t), varBuilt + "=" + built, varGo + "=" + goTool, varRoot + "=" + top, varHome + "=" + os.Getenv("HOME"),
		varMock + "=" + mock, varTLS + "=" + tls,
	}
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "GO") { // where go has its caches and modules
			s.env = append(s.env, entry)
		}
	}
	s.files(top)
	return s
}

// freeAddress is one on this machine that nobody listens at, and that the system
// gives to nobody who asks for any: its own begin above.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)))
		if err == nil {
			defer listener.Close()
			return listener.Addr().String()
		}
	}
	t.Fatal("no address is free")
	return ""
}

// launch gives a statement to a shell. What it exports, the next one has; a
// server, which writes the file ready, exports nothing.
func (s *session) launch(text, ready string) *process {
	s.t.Helper()
	text = s.swap.Replace(strings.ReplaceAll(text, "nats://nats:4222", s.nats()))
	// A signal is for the command; the shell waits for it, and tells how it ended.
	script := fmt.Sprintf("trap : INT TERM\n[ -f $0 ] && . $0\nexport %s=%s %s=%s\n%s\nstatus=$?\n", varNATS, s.nats(), varReady, ready, text)
	if ready == "" {
		script += "export -p > $0\n"
	}
	script += "exit $status"
	s.number++
	p := &process{text: text, cmd: exec.Command("sh", "-c", script, s.state), done: make(chan struct{})}
	p.out = filepath.Join(filepath.Dir(s.dir), fmt.Sprintf("out-%d", s.number))
	out, err := os.Create(p.out)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	p.cmd.Dir, p.cmd.Env = s.dir, s.env
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// signal is Ctrl-C, or what a supervisor sends.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// said is what it has written.
func (p *process) said() string {
	text, err := os.ReadFile(p.out)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// wait returns the exit code.
func (p *process) wait() (int, error) {
	select {
	case <-p.done:
	case <-time.After(patience):
		p.signal(syscall.SIGQUIT) // it says where it stands
		<-p.done
		return -1, errors.New("does not end")
	}
	if exit := (*exec.ExitError)(nil); p.err != nil && !errors.As(p.err, &exit) {
		return -1, p.err
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// do runs a statement to its end and expects an exit code.
func (s *session) do(text string, want int) string {
	s.t.Helper()
	return s.ended(s.launch(text, ""), want)
}

func (s *session) ended(p *process, want int) string {
	s.t.Helper()
	code, err := p.wait()
	if err != nil || code != want {
		s.t.Errorf("%s\nexit code %d, want %d; %v\n%s", p.text, code, want, err, p.said())
	}
	return p.said()
}

// serve starts a statement that does not end by itself, and returns when it is
// ready. A former one of its kind is stopped before: so does a reader who has one
// terminal for it.
func (s *session) serve(text, kind string) {
	s.t.Helper()
	s.stopKind(kind)
	s.presuppose(text)
	ready := filepath.Join(filepath.Dir(s.dir), fmt.Sprintf("ready-%d", s.number))
	p := s.launch(background.ReplaceAllString(text, ""), ready)
	p.kind = kind
	s.live = append(s.live, p)
	if !s.until(p, func() bool { return exists(ready) }) {
		s.t.Fatalf("%s\ndoes not get ready\n%s", p.text, p.said())
	}
	if kind == "worker" || kind == "service" {
		url, err := os.ReadFile(ready)
		if err != nil {
			s.t.Fatal(err)
		}
		p.nats = strings.TrimSpace(string(url))
	}
}

// nats is where the service is, empty where there is none.
func (s *session) nats() string {
	for _, p := range slices.Backward(s.live) {
		if p.nats != "" {
			return p.nats
		}
	}
	return ""
}

// background is what puts a command there, and a comment behind it.
var background = regexp.MustCompile(`\s*&\s*(#.*)?$`)

// until asks until it is so; it is not when the process has ended.
func (s *session) until(p *process, so func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-p.done:
			return so()
		case <-late:
			return false
		}
	}
	return true
}

// stopKind ends a server of a kind, and what was started since and may need it.
func (s *session) stopKind(kind string) {
	s.t.Helper()
	if i := slices.IndexFunc(s.live, func(p *process) bool { return p.kind == kind }); i >= 0 {
		s.stop(i)
	}
}

// stop ends servers from the i-th on, the last first, in good order.
func (s *session) stop(i int) {
	s.t.Helper()
	for _, undo := range slices.Backward(s.undo) {
		undo()
	}
	s.undo = nil
	for _, p := range slices.Backward(s.live[i:]) {
		p.signal(syscall.SIGTERM)
		s.ended(p, 0)
	}
	s.live = s.live[:i]
	if s.nats() == "" {
		s.jobs = nil
	}
}
