package tcpproxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pelton/internal/dev/tcpproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers lines with themselves, behind a name.
func echo(t *testing.T, name string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					fmt.Fprintln(c, name, lines.Text())
				}
			}()
		}
	}()
	return l.Addr().String()
}

type client struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, p *tcpproxy.Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, text); err != nil {
		c.t.Error(err)
	}
}

func (c *client) hear(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := c.lines.ReadString('\n')
	if got := strings.TrimSpace(line); err != nil || got != want {
		c.t.Errorf("heard %q (%v), want %q", got, err, want)
	}
}

// ended waits for the end of the connection, without a byte before it.
func (c *client) ended() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	rest, err := io.ReadAll(c.lines)
	if len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("%q (%v) where the connection should have ended", rest, err)
	}
}

func start(t *testing.T, target string) *tcpproxy.Proxy {
	t.Helper()
	p, err := tcpproxy.Listen(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestCutAndPoint(t *testing.T) {
	p := start(t, "")
	dial(t, p).ended()
	p.Point(echo(t, "a"))
	before := time.Now()
	one := dial(t, p)
	one.say("1")
	one.hear("a 1")
	if !p.Since(before) || p.Since(time.Now()) {
		t.Error("Since")
	}
	p.Cut()
	one.ended()
	dial(t, p).ended()
	p.Heal()
	p.Point(echo(t, "b"))
	two := dial(t, p)
	two.say("2")
	two.hear("b 2")
}

func TestSilence(t *testing.T) {
	p := start(t, echo(t, "a"))
	c := dial(t, p)
	c.say("1")
	c.hear("a 1")
	p.Silence()
	c.say("2")
	p.Heal()
	c.hear("a 2") // nothing was lost
	p.Silence()
	c.say("3")
	if err := p.Close(); err != nil { // in spite of the silence
		t.Error(err)
	}
	c.ended()
}

// What a muted client says is read and lost, while it still hears the server.
func TestMute(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := start(t, l.Addr().String())
	c := dial(t, p)
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	c.say("1")
	in := bufio.NewReader(server)
	if line, err := in.ReadString('\n'); err != nil || line != "1\n" {
		t.Fatalf("%q, %v", line, err)
	}
	p.Mute()
	c.say("2")
	fmt.Fprintln(server, "still there?")
	c.hear("still there?")
	_ = c.Close()
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("%q came through, %v", rest, err)
	}
}
