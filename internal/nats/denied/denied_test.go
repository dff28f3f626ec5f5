package denied_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"pelton/internal/nats/denied"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect connects as a user who may publish to may.> and subscribe to may.> and
// to inboxes under _INBOX_u.
func connect(t *testing.T, opts ...nats.Option) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"may.>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"may.>", "_INBOX_u.>"}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect(s.ClientURL(), append(opts, nats.UserInfo("u", "p"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`Permissions Violation for Publish to "a.b"`:                       "publish a.b",
		`Permissions Violation for Publish with Reply of "a.b"`:            "publish a.b",
		`Permissions Violation for Subscription to "a.*"`:                  "subscription a.*",
		`Permissions Violation for Subscription to "a" using queue "q"`:    "subscription a",
		`Permissions Violation for Subscription to "a.>" (sid "3")`:        "subscription a.>",
		`Permissions Violation for Publish to "caf\u00e9.\"q\""`:           `publish café."q"`,
		`something else about "a"`:                                         "",
		`Permissions Violation for Publish to nothing that could be named`: "",
	} {
		e := denied.Parse(fmt.Errorf("%w: %s", nats.ErrPermissionViolation, text))
		got := ""
		if e != nil {
			got = string(e.Action) + " " + e.Subject
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if e := denied.Parse(errors.New(`Permissions Violation for Publish to "a"`)); e != nil {
		t.Errorf("an error of somebody else's: %v", e)
	}
}

// A refused request ends its own call, and no other.
func TestGuard(t *testing.T) {
	heard := make(chan error, 1)
	nc := connect(t, nats.CustomInboxPrefix("_INBOX_u"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { heard <- err }))
	w := denied.Watch(nc)
	if denied.Watch(nc) != w {
		t.Error("a connection has two watchers")
	}
	other, otherCall := w.Guard(t.Context(), "may.x", "not.q")
	defer otherCall.End()
	ctx, call := w.Guard(t.Context(), "may.y")
	defer call.End()
	call.Sends("not.p")
	_, err := nc.RequestWithContext(ctx, "not.p", nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	err = call.Or(err)
	if !errors.Is(err, nats.ErrPermissionViolation) || err.Error() != `NATS refused publish to "not.p": the credentials in use lack the permission` {
		t.Error(err)
	}
	if call.Or(nil) != nil {
		t.Error("what went well is called refused")
	}
	if err := <-heard; !denied.Told(nc, err) {
		t.Error("the handler that was there is told", err)
	}
	if other.Err() != nil || otherCall.Err() != nil {
		t.Error("another call was ended", otherCall.Err())
	}
}

// What is tried and can be done without is told to the call alone.
func TestSpare(t *testing.T) {
	heard := make(chan error, 10)
	nc := connect(t, nats.CustomInboxPrefix("_INBOX_u"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { heard <- err }))
	w := denied.Watch(nc)
	w.Spare("not.p")
	for _, subject := range []string{"not.p", "not.q"} {
		ctx, call := w.Guard(t.Context(), subject)
		_, err := nc.RequestWithContext(ctx, subject, nil)
		if err = call.Or(err); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", subject, err)
		}
		call.End()
	}
	if err := <-heard; !strings.Contains(err.Error(), "not.q") {
		t.Error(err)
	}
}

func TestSubscription(t *testing.T) {
	nc := connect(t, nats.CustomInboxPrefix("_INBOX_u"))
	w := denied.Watch(nc)
	for subject, ok := range map[string]bool{"may.x": true, "not.x": false, "may.*": true, "not.>": false} {
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Subscribed(subject)
		if (err == nil) != ok {
			t.Errorf("%s: %v", subject, err)
		}
		if err != nil && !strings.Contains(err.Error(), `refused subscription to "`+subject+`"`) {
			t.Error(err)
		}
		_ = sub.Unsubscribe()
	}
}

// Who gets no answers is told so by every call, the first and the later ones.
func TestInbox(t *testing.T) {
	nc := connect(t)
	w := denied.Watch(nc)
	for range 3 {
		ctx, call := w.Guard(t.Context(), "may.x")
		_, err := nc.RequestWithContext(ctx, "may.x", nil)
		err = call.Or(err)
		call.End()
		var refused *denied.Error
		if !errors.As(err, &refused) || !refused.Inbox || !strings.Contains(err.Error(), "NATS_INBOX_PREFIX") {
			t.Fatal(err)
		}
	}
}

// The watcher does not keep its connection.
func TestForgotten(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	gone := make(chan struct{})
	func() {
		closed := make(chan struct{})
		nc, err := nats.Connect(s.ClientURL(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
		if err != nil {
			t.Fatal(err)
		}
		denied.Watch(nc)
		runtime.AddCleanup(nc, func(gone chan struct{}) { close(gone) }, gone)
		nc.Close()
		<-closed
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatal("the connection is still held")
			}
		}
	}
}
