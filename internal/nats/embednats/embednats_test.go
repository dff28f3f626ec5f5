package embednats

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDNATS_TEST_HOLD"); dir != "" {
		holdStore(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func startServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *Server) jetstream.JetStream {
	t.Helper()
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// A message published before Close is there after the next Start.
func TestKeepsMessages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	s := startServer(t, Options{StoreDir: dir, Port: NoListen})
	js := connect(t, s)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s.1", bytes.Repeat([]byte("x"), 7<<20)); err != nil {
		t.Fatal("7 MiB message:", err)
	}
	used, most := s.StoreUsage()
	if used < 7<<20 || most <= used {
		t.Errorf("StoreUsage = %d of %d", used, most)
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	if url := s.ClientURL(); url != "" {
		t.Errorf("ClientURL = %q for a server that does not listen", url)
	}
	js.Conn().Close()
	s.Close()
	s.Close()
	if s.Healthy() == nil {
		t.Error("healthy after Close")
	}

	js = connect(t, startServer(t, Options{StoreDir: dir, Port: NoListen}))
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d messages after a restart, want 1", n)
	}
	if runtime.GOOS != "windows" {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("store directory: %v, %v; want mode 0700", info.Mode(), err)
		}
	}
}

func TestListensOnAnyPort(t *testing.T) {
	s := startServer(t, Options{StoreDir: t.TempDir()})
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if got := nc.MaxPayload(); got != DefaultMaxPayload {
		t.Errorf("max payload %d, want %d", got, DefaultMaxPayload)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	s := startServer(t, Options{StoreDir: t.TempDir(), Port: NoListen, MaxPayload: 100 << 10, MaxStore: 1 << 20, SyncAlways: true, SyncInterval: time.Second})
	if _, most := s.StoreUsage(); most != 1<<20 {
		t.Errorf("store limit %d, want %d", most, 1<<20)
	}
	config := s.srv.JetStreamConfig()
	if !config.SyncAlways || config.SyncInterval != time.Second {
		t.Errorf("sync: always %v, interval %v", config.SyncAlways, config.SyncInterval)
	}
	if nc := connect(t, s).Conn(); nc.MaxPayload() != 100<<10 {
		t.Errorf("max payload %d", nc.MaxPayload())
	}
}

func TestSecondServerOnTheStore(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, Options{StoreDir: dir, Port: NoListen})
	_, err := Start(Options{StoreDir: dir, Port: NoListen})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Dir != dir || locked.PID != os.Getpid() {
		t.Fatalf("second server: %v", err)
	}
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("message: %v", err)
	}
	first.Close()
	startServer(t, Options{StoreDir: dir, Port: NoListen})
}

// Another process holds the directory until it is killed.
func TestLockOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "EMBEDNATS_TEST_HOLD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal("the other process did not start:", err)
	}
	_, err = Start(Options{StoreDir: dir, Port: NoListen})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid {
		t.Errorf("got %v, want the lock of process %d", err, cmd.Process.Pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	startServer(t, Options{StoreDir: dir, Port: NoListen})
}

func holdStore(dir string) {
	if _, err := Start(Options{StoreDir: dir, Port: NoListen}); err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString("started\n")
	select {} // until killed
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = Start(Options{StoreDir: dir, Port: port})
	var inUse *PortError
	if !errors.As(err, &inUse) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Fatalf("got %v", err)
	}
	if runtime.GOOS == "linux" && !strings.Contains(err.Error(), "NATS_URL=nats://"+l.Addr().String()) {
		t.Errorf("no hint in: %v", err)
	}
	// The same when the port is taken between the probe and the listener.
	if _, err := start(Options{StoreDir: dir, Host: DefaultHost, Port: port}); !errors.As(err, &inUse) {
		t.Errorf("late: got %v", err)
	}
	startServer(t, Options{StoreDir: dir, Port: NoListen})
}

func TestUnusableStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	half := t.TempDir() // the directory can be locked but not used
	if err := os.WriteFile(filepath.Join(half, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"a file": file, "under a file": filepath.Join(file, "x"), "a file in its place": half}
	if os.Getuid() > 0 {
		sealed := t.TempDir()
		if err := os.Chmod(sealed, 0o500); err != nil {
			t.Fatal(err)
		}
		dirs["read-only"] = sealed
	}
	for name, dir := range dirs {
		if _, err := Start(Options{StoreDir: dir, Port: NoListen}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := Start(Options{}); err == nil {
		t.Error("started without a store directory")
	}
}

// What the server itself finds wrong becomes an error and leaves nothing behind.
func TestServerRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(Options{StoreDir: dir, Host: DefaultHost, Port: NoListen}); err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("got %v", err)
	}
}

func TestQuiet(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	for range 2 {
		s := startServer(t, Options{StoreDir: dir, Logger: zerolog.New(&out).Level(zerolog.InfoLevel)})
		js := connect(t, s)
		if _, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S"}); err != nil {
			t.Fatal(err)
		}
		js.Conn().Close()
		s.Close()
	}
	if out.Len() > 0 {
		t.Errorf("logged at info or above:\n%s", out.String())
	}
	s := startServer(t, Options{StoreDir: dir, Logger: zerolog.New(&out).Level(zerolog.DebugLevel)})
	s.Close()
	if !strings.Contains(out.String(), `"from":"nats-server"`) {
		t.Errorf("nothing at debug: %q", out.String())
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := Start(Options{StoreDir: b.TempDir(), Port: NoListen})
		if err != nil {
			b.Fatal(err)
		}
		nc, err := s.Connect()
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		nc.Close()
		s.Close()
		b.StartTimer()
	}
}
