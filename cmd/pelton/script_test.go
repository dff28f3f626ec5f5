package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pelton/internal/faultyllm"
)

// asPelton makes the test binary be the command, for tests that need processes.
const asPelton = "PELTON_TEST_EXEC"

func TestMain(m *testing.M) {
	if os.Getenv(asPelton) != "" {
		os.Exit(realMain())
	}
	testscript.Main(m, map[string]func(){"pelton": func() { os.Exit(realMain()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
			env.Setenv("EXAMPLES", examples)
			env.Setenv("HOME", env.WorkDir) // settings and stores of the test's own
			env.Setenv("NATS_URL", "")
			env.Setenv("OPENAI_API_KEY", "")
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "indexes": indexes, "urlenv": urlenv, "calls": calls, "mockstat": mockstat,
			"benchreport": benchreport, "notemp": notemp, "streams": streams, "freeport": freeport, "httpget": httpget,
			"holds": holds,
		},
	})
}

// exits CODE COMMAND… runs a command and checks its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// indexes FILE LIST checks the indexes of result lines, in their order. LIST is
// like 0-9 or 3,1,2. Each line must be JSON.
func indexes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: indexes FILE LIST")
	}
	var got, want []string
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct{ Index *int }
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.Index == nil {
			ts.Fatalf("%s: no result line: %s", args[0], lines.Text())
		}
		got = append(got, strconv.Itoa(*r.Index))
	}
	for part := range strings.SplitSeq(args[1], ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, _ := strconv.Atoi(from)
		last := first
		if isRange {
			last, _ = strconv.Atoi(to)
		}
		for i := first; i <= last; i++ {
			want = append(want, strconv.Itoa(i))
		}
	}
	if g, w := strings.Join(got, ","), strings.Join(want, ","); g != w {
		ts.Fatalf("indexes %s, want %s", g, w)
	}
}

// urlenv NAME FILE waits for a --url-file and puts what it holds into a variable.
func urlenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: urlenv NAME FILE")
	}
	eventually(ts, args[1]+" does not come", func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[1]))
		if err == nil {
			ts.Setenv(args[0], strings.TrimSpace(string(data)))
		}
		return err == nil
	})
}

// calls URL N waits until the mock upstream has had N calls.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: calls URL N")
	}
	want, _ := strconv.Atoi(args[1])
	eventually(ts, "the calls do not come", func() bool { return stats(ts, args[0]).Calls >= want })
}

// mockstat URL NAME MIN MAX checks a figure of the mock upstream.
func mockstat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: mockstat URL NAME MIN MAX")
	}
	s := stats(ts, args[0])
	figure, ok := map[string]int{"calls": s.Calls, "duplicates": s.Duplicates, "peak": s.Peak, "identities": s.Identities}[args[1]]
	low, _ := strconv.Atoi(args[2])
	high, _ := strconv.Atoi(args[3])
	if !ok || figure < low || figure > high {
		ts.Fatalf("%s is %d, want %d to %d", args[1], figure, low, high)
	}
}

func stats(ts *testscript.TestScript, base string) (s faultyllm.Stats) {
	answer, err := http.Get(strings.TrimSuffix(base, "/v1") + "/mock/stats")
	ts.Check(err)
	defer answer.Body.Close()
	ts.Check(json.NewDecoder(answer.Body).Decode(&s))
	return s
}

// freeport NAME puts an address that nobody listens at into a variable.
func freeport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], listener.Addr().String())
	ts.Check(listener.Close())
}

// httpget URL STATUS gets a page, which is what stdout looks at next.
func httpget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: httpget URL STATUS")
	}
	answer, err := http.Get(args[0])
	ts.Check(err)
	defer answer.Body.Close()
	_, err = io.Copy(ts.Stdout(), answer.Body)
	ts.Check(err)
	if strconv.Itoa(answer.StatusCode) != args[1] {
		ts.Fatalf("%s: status %d, want %s", args[0], answer.StatusCode, args[1])
	}
}

// holds FILE PART checks that a file holds the bytes of another, but for its
// last line end.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: holds FILE PART")
	}
	text, part := ts.ReadFile(args[0]), strings.TrimSuffix(ts.ReadFile(args[1]), "\n")
	if !strings.Contains(text, part) {
		ts.Fatalf("%s does not hold\n%s\nbut is\n%s", args[0], part, text)
	}
}

// eventually asks until it is so, for half a minute at most.
func eventually(ts *testscript.TestScript, what string, so func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%s", what)
		}
	}
}
