package child_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"pelton/internal/dev/child"
)

const variable = "PELTON_CHILD_TEST"

// part is what this binary does instead of running tests.
type part struct {
	Say  string
	Deaf bool // does not end when it is told to
	Code int
}

func TestMain(m *testing.M) {
	text := os.Getenv(variable)
	if text == "" {
		os.Exit(m.Run())
	}
	var p part
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	if p.Deaf {
		signal.Ignore(os.Interrupt)
	}
	if p.Say != "" {
		fmt.Println(p.Say)
		_, _ = bufio.NewReader(os.Stdin).ReadString(0)
	}
	if p.Deaf {
		select {}
	}
	os.Exit(p.Code)
}

func play(t *testing.T, p part, tied bool) *child.Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), exe)
	cmd.Env, cmd.Stderr = os.Environ(), os.Stderr
	if tied {
		child.Tie(cmd)
	}
	started, err := child.Play(cmd, variable, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Kill)
	return started
}

func TestPlay(t *testing.T) {
	for _, tied := range []bool{false, true} {
		p := play(t, part{Say: "hello there", Code: 7}, tied)
		if line := <-p.Said(); line != "hello there" {
			t.Errorf("said %q", line)
		}
		if p.End(time.Minute) {
			t.Error("had to be killed")
		}
		<-p.Gone()
		if p.Code() != 7 {
			t.Errorf("code %d", p.Code())
		}
	}
}

func TestSilentEnd(t *testing.T) {
	p := play(t, part{Code: 3}, true)
	if line := <-p.Said(); line != "" {
		t.Errorf("said %q", line)
	}
	if <-p.Gone(); p.Code() != 3 {
		t.Errorf("code %d", p.Code())
	}
}

func TestDeafIsKilled(t *testing.T) {
	p := play(t, part{Say: "x", Deaf: true}, true)
	<-p.Said()
	if !p.End(time.Millisecond) || p.Code() != -1 {
		t.Errorf("code %d", p.Code())
	}
	p.Kill() // again
}

func TestNoSuchCommand(t *testing.T) {
	if _, err := child.Start(exec.CommandContext(t.Context(), "/nowhere/to/be/found")); err == nil {
		t.Error("started")
	}
}
