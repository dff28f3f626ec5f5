package http1

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A time limit cannot be told from context.WithDeadlineCause, whoever looks, when
// and in which way.
func TestTimeLimit(t *testing.T) {
	type key struct{}
	up, stopped := errors.New("time is up"), errors.New("stopped")
	looks := map[string]func(context.Context){
		"nobody looks": func(context.Context) {},
		"waits":        func(ctx context.Context) { go func() { <-ctx.Done() }() },
		"asks":         func(ctx context.Context) { _, _ = ctx.Err(), context.Cause(ctx) },
		"has a child": func(ctx context.Context) {
			child, cancel := context.WithCancel(ctx)
			context.AfterFunc(child, cancel)
		},
	}
	ways := map[string]func(parent context.CancelCauseFunc){
		"runs":           func(context.CancelCauseFunc) {},
		"parent ends":    func(parent context.CancelCauseFunc) { parent(stopped) },
		"deadline":       func(context.CancelCauseFunc) { time.Sleep(61 * time.Second) },
		"parent, late":   func(parent context.CancelCauseFunc) { time.Sleep(61 * time.Second); parent(stopped) },
		"deadline, late": func(parent context.CancelCauseFunc) { parent(stopped); time.Sleep(61 * time.Second) },
	}
	for whoLooks, look := range looks {
		for way, happen := range ways {
			t.Run(whoLooks+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					observe := func(limit func(context.Context, time.Time, error) (context.Context, func())) (seen [6]any) {
						base, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
						ctx, end := limit(base, time.Now().Add(time.Minute), up)
						defer cancel(nil)
						defer end()
						look(ctx)
						happen(cancel)
						synctest.Wait()
						deadline, has := ctx.Deadline()
						seen = [6]any{ctx.Err(), context.Cause(ctx), ctx.Value(key{}), has, time.Until(deadline), false}
						select {
						case <-ctx.Done():
							seen[5] = true
						default:
						}
						return seen
					}
					want := observe(func(parent context.Context, at time.Time, cause error) (context.Context, func()) {
						return context.WithDeadlineCause(parent, at, cause)
					})
					got := observe(func(parent context.Context, at time.Time, cause error) (context.Context, func()) {
						l := NewTimeLimit(parent, at, cause)
						return l, l.End
					})
					unseen := whoLooks == "nobody looks" || whoLooks == "asks"
					if way == "parent, late" && unseen { // nobody can tell any more which of the two was first
						want[0], want[1] = context.Canceled, stopped
					}
					if got != want {
						t.Errorf("%v, want %v", got, want)
					}
				})
			})
		}
	}
}

// The end of the parent is told of, the deadline is not; nothing is after end.
func TestTimeLimitOnCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		defer cancel()
		l := NewTimeLimit(parent, time.Now().Add(time.Minute), errors.New("time is up"))
		told := 0
		stop := l.OnCancel(func() { told++ })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if told != 0 || l.Err() == nil {
			t.Errorf("told %d times; %v", told, l.Err())
		}
		cancel()
		synctest.Wait()
		if told != 1 || stop() {
			t.Errorf("told %d times", told)
		}
	})
}

// After its end it has ended for those who begin to wait, too.
func TestTimeLimitAfterItsEnd(t *testing.T) {
	l := NewTimeLimit(t.Context(), time.Now().Add(time.Hour), errors.New("time is up"))
	l.End()
	<-l.Done()
	if !errors.Is(l.Err(), context.Canceled) {
		t.Error(l.Err())
	}
}

// An earlier deadline of the parent is the one that counts.
func TestTimeLimitOfParent(t *testing.T) {
	at := time.Now().Add(time.Minute)
	parent, cancel := context.WithDeadline(t.Context(), at)
	defer cancel()
	l := NewTimeLimit(parent, at.Add(time.Minute), errors.New("time is up"))
	defer l.End()
	if got, ok := l.Deadline(); !ok || !got.Equal(at) {
		t.Error(got)
	}
}

// Who is told of an end finds that it has ended, though the real context may be
// told after him: a parent tells its children one after the other.
func TestTimeLimitHasEndedForWhoIsTold(t *testing.T) {
	stopped := errors.New("stopped")
	parent, cancel := context.WithCancelCause(t.Context())
	seen := make(chan error)
	const children = 5000
	for range children {
		l := NewTimeLimit(parent, time.Now().Add(time.Hour), errors.New("time is up"))
		defer l.End()
		l.Done()
		l.OnCancel(func() { seen <- errors.Join(l.Err(), context.Cause(l)) })
	}
	go cancel(stopped)
	early := 0
	for range children {
		if err := <-seen; !errors.Is(err, context.Canceled) || !errors.Is(err, stopped) {
			early++
		}
	}
	if early > 0 {
		t.Errorf("%d of %d were told before it had ended", early, children)
	}
}

// The same at the deadline, when somebody else's timer is the first.
func TestTimeLimitIsOverAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := errors.New("time is up")
		for range 50 {
			first := time.NewTimer(time.Minute)
			l := NewTimeLimit(t.Context(), time.Now().Add(time.Minute), up)
			l.Done()
			<-first.C
			if err := errors.Join(l.Err(), context.Cause(l)); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, up) {
				t.Fatal(err)
			}
			l.End()
		}
	})
}
