package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pelton/internal/nats/embednats"
	"pelton/router"
	"pelton/schema"
)

// roleVar makes the test binary a worker of its own instead of running tests.
const roleVar = "PELTON_FLEET_TEST_ROLE"

func TestMain(m *testing.M) {
	if text := os.Getenv(roleVar); text != "" {
		if err := play(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// role is a worker that makes calls for as long as it lives.
type role struct {
	NATS, Name string
	Limits     router.Limits
	Callers    int           // calls at once that it wants
	Call       time.Duration // how long each takes
	Tokens     int
}

// play runs a role until standard input is closed, and writes a line for each
// call that begins and ends.
func play(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString(0)
		stop()
	}()
	nc, err := connect(r.NATS)
	if err != nil {
		return err
	}
	defer nc.Close()
	f, err := Join(ctx, nc, schema.Names{}, r.Name, testLog(os.Stderr, r.Name))
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Println("ready", f.id)
	work(ctx, f, r, func(begin bool, n int, at time.Time) {
		kind := "-"
		if begin {
			kind = "+"
		}
		fmt.Println(kind, n, at.UnixNano()) // before the permit is done
	})
	return nil
}

func connect(url string) (*nats.Conn, error) {
	return nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.ReconnectJitter(time.Millisecond, time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
}

func testLog(w interface{ Write([]byte) (int, error) }, name string) zerolog.Logger {
	level := zerolog.Disabled
	if text := os.Getenv("PELTON_TEST_LOG"); text != "" {
		level, _ = zerolog.ParseLevel(text)
	}
	return zerolog.New(w).Level(level).With().Str("process", name).Timestamp().Logger()
}

// process is a role in a process of its own.
type process struct {
	t    *testing.T
	id   string // of its member
	name string
	rec  *recorder
	cmd  *exec.Cmd
	read chan struct{} // closed when all it wrote was read
}

// start runs a role, whose calls go to the recorder, and returns when it has joined.
func start(t *testing.T, rec *recorder, r role) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(r)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: r.Name, rec: rec, cmd: cmd, read: make(chan struct{})}
	t.Cleanup(func() {
		_ = stdin.Close()
		p.kill()
	})
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatalf("%s did not join", r.Name)
	}
	p.id = strings.TrimPrefix(lines.Text(), "ready ")
	go func() {
		defer close(p.read)
		for lines.Scan() {
			if f := strings.Fields(lines.Text()); len(f) == 3 {
				n, _ := strconv.Atoi(f[1])
				at, _ := strconv.ParseInt(f[2], 10, 64)
				rec.add(r.Name, f[0] == "+", n, time.Unix(0, at), r.Tokens)
			}
		}
	}()
	return p
}

// kill ends the process as a power cut would. Its calls end with it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.read
	_ = p.cmd.Wait()
	p.rec.endAll(p.name, time.Now())
}

// server is a NATS server that can be stopped and started again at its address.
type server struct {
	t    *testing.T
	opts embednats.Options
	srv  *embednats.Server
	url  string
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, opts: embednats.Options{StoreDir: t.TempDir(), Logger: testLog(zerolog.NewTestWriter(t), "nats")}}
	s.start()
	s.url = s.srv.ClientURL()
	port, err := strconv.Atoi(s.url[strings.LastIndexByte(s.url, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	s.opts.Port = port
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	var err error
	if s.srv, err = embednats.Start(s.opts); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) stop() { s.srv.Close() }

// wipe makes the server forget everything when it starts next.
func (s *server) wipe() { s.opts.StoreDir = filepath.Join(s.t.TempDir(), "new") }

// join makes a member in this process, which leaves with the test.
func (s *server) join(name string) *Fleet {
	s.t.Helper()
	nc, err := connect(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	f, err := Join(s.t.Context(), nc, schema.Names{}, name, testLog(zerolog.NewTestWriter(s.t), name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(f.Close)
	return f
}
