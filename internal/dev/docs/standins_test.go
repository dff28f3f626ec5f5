//go:build unix

package docs

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"
)

// A session tells the stand-ins by these variables what they need to know.
const (
	varPelton = "DOCS_PELTON" // the command that was built
	varBuilt  = "DOCS_BUILT"  // where go run puts what it builds
	varGo     = "DOCS_GO"     // the real go command
	varRoot   = "DOCS_ROOT"   // of the repository
	varHome   = "DOCS_HOME"   // the real home directory, with go's caches
	varReady  = "DOCS_READY"  // file that a server writes its address to when it is ready
	varNATS   = "DOCS_NATS"   // what serves at 127.0.0.1:4222, the default address
	varMock   = "DOCS_MOCK"   // in the place of 127.0.0.1:8089
	varTLS    = "DOCS_TLS"    // in the place of nats:4222, over TLS
)

// What a command of the documents finds in PATH. Servers listen where nobody
// else does; measurements are short; and programs that are not Go's do the little
// that the documents ask of them, so that nobody has to install them.
var standIns = map[string]func() error{
	"pelton": standInPelton, "go": standInGo, "nats-server": standInNATS,
	"curl": standInCurl, "jq": standInJQ, "openssl": standInOpenSSL,
}

func TestMain(m *testing.M) {
	programs := map[string]func(){}
	for name, run := range standIns {
		programs[name] = func() {
			err := run()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				os.Exit(exit.ExitCode())
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
				os.Exit(1)
			}
		}
	}
	testscript.Main(cleaned{m}, programs)
}

// become runs a program in the place of this process.
func become(path string, args ...string) error {
	return syscall.Exec(path, append([]string{filepath.Base(path)}, args...), os.Environ())
}

func standInPelton() error {
	args := os.Args[1:]
	given := func(flag string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { return arg == flag || strings.HasPrefix(arg, flag+"=") })
	}
	add := func(flag, value string) {
		if !given(flag) {
			args = append(args, flag, value)
		}
	}
	verb := append(args, "")[0]
	switch {
	case os.Getenv(varReady) != "": // a server
		args = append(args, "--url-file", os.Getenv(varReady))
		switch verb {
		case "worker":
			args = append(args, "--listen", "127.0.0.1:0")
		case "mock":
			args = append(args, "--addr", os.Getenv(varMock))
		}
	case verb == "bench" && slices.Contains(args, "files"):
		add("--in-flight", "8")
		args = append(args, "-n", "200", "--rounds", "1")
	case verb == "bench" && !given("--from"): // to see that it works, not how fast
		add("--in-flight", "8")
		add("--latency", "0s")
		add("--jobs", "1")
		args = append(args, "-n", "200", "--rounds", "1", "--idle", "2", "--cancels", "0", "--startup", "1")
	case slices.Contains(clients, verb) && !given("-s") && os.Getenv("NATS_URL") == "":
		if err := os.Setenv("NATS_URL", os.Getenv(varNATS)); err != nil {
			return err
		}
	}
	return become(os.Getenv(varPelton), args...)
}

// clients are the verbs that talk to the service at the default address.
var clients = []string{"submit", "results", "watch", "status", "cancel", "retry", "ls", "rm", "queue"}

func standInGo() error {
	args := os.Args[1:]
	tool := os.Getenv(varGo)
	if err := os.Setenv("HOME", os.Getenv(varHome)); err != nil {
		return err
	}
	switch {
	case slices.Equal(args, []string{"install", "./cmd/pelton"}):
		_, err := os.Stat(os.Getenv(varPelton)) // that is how it came to be
		return err
	case len(args) > 1 && args[0] == "run" && args[1] == "./cmd/pelton":
		os.Args = args[1:]
		return standInPelton()
	case len(args) > 1 && args[0] == "run": // in the session's directory, not the repository's
		path := filepath.Join(os.Getenv(varBuilt), strings.ReplaceAll(args[1], "/", "_"))
		if !exists(path) {
			build := exec.Command(tool, "-C", os.Getenv(varRoot), "build", "-o", path, args[1])
			build.Stderr = os.Stderr
			if err := build.Run(); err != nil {
				return err
			}
		}
		return become(path, args[2:]...)
	}
	return become(tool, args...)
}

// standInNATS is nats-server -c FILE, at another port.
func standInNATS() error {
	file := flag.NewFlagSet("nats-server", flag.ExitOnError)
	path := file.String("c", "", "configuration")
	_ = file.Parse(os.Args[1:])
	opts, err := server.ProcessConfigFile(*path)
	if err != nil {
		return err
	}
	opts.HTTPHost, opts.HTTPPort, opts.NoSigs, opts.NoLog = "", 0, true, true
	host, port, err := net.SplitHostPort(os.Getenv(varTLS))
	if err != nil {
		return err
	}
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return errors.New("does not get ready")
	}
	if err := os.WriteFile(os.Getenv(varReady), []byte("tls://"+os.Getenv(varTLS)), 0o600); err != nil {
		return err
	}
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// standInCurl fails on a status that tells of an error, as curl -f does.
func standInCurl() error {
	method, body, url := "", "", ""
	header := http.Header{}
	for args := os.Args[1:]; len(args) > 0; args = args[1:] {
		switch {
		case args[0] == "-X" && len(args) > 1:
			method, args = args[1], args[1:]
		case args[0] == "-d" && len(args) > 1:
			body, args = args[1], args[1:]
			header.Set("Content-Type", "application/x-www-form-urlencoded")
		case args[0] == "-H" && len(args) > 1:
			name, value, _ := strings.Cut(args[1], ": ")
			header.Set(name, value)
			args = args[1:]
		case strings.HasPrefix(args[0], "-") || url != "":
			return fmt.Errorf("no stand-in for %s", args[0])
		default:
			url = args[0]
		}
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return errors.New(answer.Status)
	}
	return nil
}

// standInJQ knows paths: .response.body of each JSON value.
func standInJQ() error {
	for in := json.NewDecoder(os.Stdin); ; {
		var value json.RawMessage
		if err := in.Decode(&value); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for name := range strings.SplitSeq(strings.TrimPrefix(os.Args[1], "."), ".") {
			fields := map[string]json.RawMessage{}
			if err := json.Unmarshal(value, &fields); err != nil {
				return err
			}
			if value = fields[name]; value == nil {
				return fmt.Errorf("there is no field %s", name)
			}
		}
		if _, err := os.Stdout.Write(append(bytes.TrimSpace(value), '\n')); err != nil {
			return err
		}
	}
}

// standInOpenSSL is openssl rand -hex N.
func standInOpenSSL() error {
	args := os.Args[1:]
	if len(args) != 3 || args[0] != "rand" || args[1] != "-hex" {
		return fmt.Errorf("no stand-in for %v", args)
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	bytes := make([]byte, n)
	_, _ = rand.Read(bytes) // never fails
	fmt.Println(hex.EncodeToString(bytes))
	return nil
}
