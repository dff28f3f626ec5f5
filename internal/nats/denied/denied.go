// Package denied tells calls over a NATS connection that the server has refused
// them.
//
// A server answers a publish that the user may not make with an error on the
// connection, not to the caller: a request waits for its answer until its time
// is up, and a subscription hears nothing. A [Watcher] listens to those errors,
// and ends the [Call] that the refused subject belongs to.
package denied

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"weak"

	"github.com/nats-io/nats.go"
)

// Action is what the server refused.
type Action string

// The actions that need a permission.
const (
	Publish   Action = "publish"
	Subscribe Action = "subscription"
)

// Error is an action that the server refused for want of a permission. It
// wraps [nats.ErrPermissionViolation].
type Error struct {
	Action  Action
	Subject string
	Inbox   bool // the subject is where the connection gets its answers
}

// Error names the action and the subject.
func (e *Error) Error() string {
	text := fmt.Sprintf("NATS refused %s to %q: the credentials in use lack the permission", e.Action, e.Subject)
	if e.Inbox {
		text += "; set NATS_INBOX_PREFIX to the prefix of inboxes that they allow"
	}
	return text
}

// Unwrap returns [nats.ErrPermissionViolation].
func (e *Error) Unwrap() error { return nats.ErrPermissionViolation }

var (
	publication  = regexp.MustCompile(`(?i)permissions violation for publish (?:to|with reply of) ("(?:[^"\\]|\\.)*")`)
	subscription = regexp.MustCompile(`(?i)permissions violation for subscription to ("(?:[^"\\]|\\.)*")`)
)

// Parse reads what the connection's error handler is told. It returns nil for
// any other error.
func Parse(err error) *Error {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	for action, form := range map[Action]*regexp.Regexp{Publish: publication, Subscribe: subscription} {
		if m := form.FindStringSubmatch(err.Error()); m != nil {
			if subject, err := strconv.Unquote(m[1]); err == nil {
				return &Error{Action: action, Subject: subject}
			}
		}
	}
	return nil
}

// Watcher listens to what the server refuses on one connection. It is safe for
// concurrent use.
type Watcher struct {
	nc    weak.Pointer[nats.Conn] // the connection's handler holds the watcher, not the other way round
	inbox string                  // how the connection's inboxes begin

	mu      sync.Mutex
	calls   map[*Call]struct{}
	told    string // the subject that was last refused to a call
	spared  string // a subject that can be done without: see Spare
	answers *Error // inboxes are refused: nothing that waits for an answer gets one,
	asOf    uint64 // until the connection is made anew
}

var (
	watchersMu sync.Mutex
	watchers   = map[weak.Pointer[nats.Conn]]*Watcher{}
)

// Watch returns the connection's watcher. The error handler that the connection
// has is called as before; one that is set later, by
// [nats.Conn.SetErrorHandler], takes the watcher's place, and what is refused
// looks like a time-out again.
func Watch(nc *nats.Conn) *Watcher {
	watchersMu.Lock()
	defer watchersMu.Unlock()
	key := weak.Make(nc)
	if w := watchers[key]; w != nil {
		return w
	}
	inbox := nc.NewInbox()
	w := &Watcher{nc: key, inbox: inbox[:strings.LastIndexByte(inbox, '.')+1], calls: map[*Call]struct{}{}}
	watchers[key] = w
	runtime.AddCleanup(nc, func(key weak.Pointer[nats.Conn]) {
		watchersMu.Lock()
		defer watchersMu.Unlock()
		delete(watchers, key)
	}, key)
	before := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if refused := Parse(err); refused != nil && w.hear(nc, refused) {
			return
		}
		if before != nil {
			before(nc, sub, err)
		}
	})
	return w
}

// Spare names the subject of something that is tried and can be done without: when
// it is refused the call is told, and the connection's own error handler is not.
func (w *Watcher) Spare(subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spared = subject
}

// hear tells those calls that the refused subject belongs to, and reports whether
// nobody else need know.
func (w *Watcher) hear(nc *nats.Conn, refused *Error) (spared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	spared = refused.Action == Publish && refused.Subject == w.spared
	if refused.Action == Subscribe && strings.HasPrefix(refused.Subject, w.inbox) {
		refused.Inbox = true
		w.answers, w.asOf = refused, nc.Stats().Reconnects
	}
	w.told = ""
	for c := range w.calls {
		if c.hear(refused); c.refused != nil && c.refused.Subject == refused.Subject {
			w.told = refused.Subject
		}
	}
	return spared
}

// Told reports whether err, which an error handler was just given, has been told
// to the call that it belongs to.
func Told(nc *nats.Conn, err error) bool {
	refused := Parse(err)
	watchersMu.Lock()
	w := watchers[weak.Make(nc)]
	watchersMu.Unlock()
	if refused == nil || w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told == refused.Subject
}

// Subscribed returns an error when the server has refused the subscription. It
// asks the server, so that the answer is certain.
func (w *Watcher) Subscribed(subject string) error {
	nc := w.nc.Value()
	if nc == nil {
		return nats.ErrConnectionClosed
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	// The refusal came before the answer to the flush.
	if refused := Parse(nc.LastError()); refused != nil && refused.Action == Subscribe && refused.Subject == subject {
		return refused
	}
	return nil
}

// Call is something that waits for what the server may refuse. Its methods are
// safe for concurrent use.
type Call struct {
	w    *Watcher
	tell func(*Error)
	free context.CancelFunc // nil: there is nothing to free

	subjects []string
	refused  *Error
}

// Begin returns a call that is refused when one of its subjects is, which may
// hold wildcards, or the inboxes of the connection are. tell is called then,
// once; it must not block, and must not call back. [Call.End] must be called.
func (w *Watcher) Begin(tell func(*Error), subjects ...string) *Call {
	c := &Call{w: w, tell: tell, subjects: subjects}
	w.add(c)
	return c
}

// Guard is [Watcher.Begin] with a context that ends when the call is refused.
func (w *Watcher) Guard(ctx context.Context, subjects ...string) (context.Context, *Call) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &Call{w: w, subjects: subjects,
		tell: func(refused *Error) { cancel(refused) },
		free: func() { cancel(nil) },
	}
	w.add(c)
	return ctx, c
}

func (w *Watcher) add(c *Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[c] = struct{}{}
	if nc := w.nc.Value(); w.answers != nil && nc != nil && nc.Stats().Reconnects == w.asOf {
		c.hear(w.answers)
	}
}

// Sends adds a subject that is about to be published or subscribed to.
func (c *Call) Sends(subject string) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if !slices.Contains(c.subjects, subject) {
		c.subjects = append(c.subjects, subject)
	}
}

// Err returns an [*Error] once the call was refused.
func (c *Call) Err() error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.refused == nil {
		return nil
	}
	return c.refused
}

// Or returns why the call was refused, where it was and err says that it came
// to nothing, and else err.
func (c *Call) Or(err error) error {
	if refused := c.Err(); err != nil && refused != nil {
		return refused
	}
	return err
}

// End ends the call. Calling it again does nothing.
func (c *Call) End() {
	c.w.mu.Lock()
	delete(c.w.calls, c)
	c.w.mu.Unlock()
	if c.free != nil {
		c.free()
	}
}

// hear is called with the watcher's mu held.
func (c *Call) hear(refused *Error) {
	mine := func(pattern string) bool { return matches(pattern, refused.Subject) }
	if c.refused != nil || !refused.Inbox && !slices.ContainsFunc(c.subjects, mine) {
		return
	}
	c.refused = refused
	c.tell(refused)
}

// matches reports whether a subject is meant by a pattern with the wildcards of
// NATS. The subject's own wildcards are those of a subscription, and mean
// themselves.
func matches(pattern, subject string) bool {
	if pattern == subject {
		return true
	}
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s), token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}
