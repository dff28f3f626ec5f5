package retry_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pelton/internal/retry"
)

var errAway = errors.New("nobody is there")

// failing fails n times, and notes when it was called.
func failing(n int, at *[]time.Duration) func(context.Context) error {
	began := time.Now()
	return func(context.Context) error {
		*at = append(*at, time.Since(began))
		if len(*at) > n {
			return nil
		}
		return errAway
	}
}

func TestPauses(t *testing.T) {
	ms := func(list ...int) (all []time.Duration) {
		for _, n := range list {
			all = append(all, time.Duration(n)*time.Millisecond)
		}
		return all
	}
	for name, c := range map[string]struct {
		policy retry.Policy
		fail   int
		want   []time.Duration
		err    error
	}{
		"at once":               {retry.Policy{}, 2, ms(0, 0, 0), nil},
		"the first try is good": {retry.Policy{Pause: time.Second}, 0, ms(0), nil},
		"all pauses alike":      {retry.Policy{Pause: 200 * time.Millisecond}, 3, ms(0, 200, 400, 600), nil},
		"twice as long each":    {retry.Policy{Pause: 100 * time.Millisecond, MaxPause: 500 * time.Millisecond}, 5, ms(0, 100, 300, 700, 1200, 1700), nil},
		"no more after a while": {retry.Policy{Pause: time.Second, For: 2 * time.Second}, 9, ms(0, 1000, 2000, 3000), errAway},
		"no other can help":     {retry.Policy{Again: func(context.Context, error) bool { return false }}, 9, ms(0), errAway},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				err := retry.Do(t.Context(), c.policy, failing(c.fail, &at))
				if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
					t.Errorf("the error is %v, want %v", err, c.err)
				}
				if !slices.Equal(at, c.want) {
					t.Errorf("tried at %v, want %v", at, c.want)
				}
			})
		})
	}
}

// The end of the context is told from the last error, and both can be asked for.
func TestContextEnds(t *testing.T) {
	stop := errors.New("the process stops")
	for name, in := range map[string]string{"in a pause": "pause", "in a try": "try", "before": "before"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				calls := 0
				if in == "before" {
					cancel(stop)
				}
				go func() {
					time.Sleep(5500 * time.Millisecond)
					cancel(stop)
				}()
				err := retry.Do(ctx, retry.Policy{Pause: 2 * time.Second}, func(ctx context.Context) error {
					calls++
					if in == "try" {
						<-ctx.Done()
					}
					return errAway
				})
				if !errors.Is(err, stop) || !errors.Is(err, errAway) {
					t.Errorf("the error is %v", err)
				}
				if want := map[string]int{"pause": 3, "try": 1, "before": 1}[in]; calls != want {
					t.Errorf("%d tries, want %d", calls, want)
				}
				synctest.Wait()
				time.Sleep(6 * time.Second) // the canceller ends too
			})
		})
	}
}

// A try has its own end, which is not the end of all.
func TestTryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, began := 0, time.Now()
		err := retry.Do(t.Context(), retry.Policy{Try: time.Second}, func(ctx context.Context) error {
			if calls++; calls == 3 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err != nil || calls != 3 || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %d tries in %v", err, calls, time.Since(began))
		}
	})
}

// One failure is told as late, the first that is.
func TestFailed(t *testing.T) {
	for name, c := range map[string]struct {
		late time.Duration
		want []bool
	}{
		"at once":     {0, []bool{true, false, false, false}},
		"after a bit": {1500 * time.Millisecond, []bool{false, false, true, false}},
		"never":       {time.Hour, []bool{false, false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				var got []bool
				policy := retry.Policy{Pause: time.Second, Late: c.late, Failed: func(err error, late bool) {
					if !errors.Is(err, errAway) {
						t.Errorf("was told of %v", err)
					}
					got = append(got, late)
				}}
				if err := retry.Do(t.Context(), policy, failing(4, &at)); err != nil {
					t.Error(err)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("late is %v, want %v", got, c.want)
				}
			})
		})
	}
}

// Who pauses in another way ends the tries with an error of their own.
func TestSleepFails(t *testing.T) {
	lost := errors.New("the lease is lost")
	pauses := 0
	err := retry.Do(t.Context(), retry.Policy{Pause: time.Hour, Sleep: func(_ context.Context, d time.Duration) error {
		if pauses++; pauses == 3 {
			return lost
		}
		if d != time.Hour {
			t.Errorf("paused for %v", d)
		}
		return nil
	}}, func(context.Context) error { return errAway })
	if err != lost || pauses != 3 { //nolint:errorlint // as it is
		t.Errorf("%v after %d pauses", err, pauses)
	}
}
