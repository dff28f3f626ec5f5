package http1

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stub is a connection that knows whether it was closed. No real one stands still
// under the clock of synctest.
type stub struct {
	net.Conn
	closed atomic.Bool
}

func (s *stub) Close() error {
	s.closed.Store(true)
	return nil
}

// A connection that nobody has used for long is closed, though nobody asks.
func TestIdleForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := idle{most: 10, life: time.Minute}
		stubs := []*stub{{}, {}, {}}
		want := func(at string, closed ...bool) {
			t.Helper()
			synctest.Wait()
			for i, s := range stubs {
				if s.closed.Load() != closed[i] {
					t.Errorf("%s: connection %d closed: %t", at, i, !closed[i])
				}
			}
		}
		for _, s := range stubs {
			kept.put(&conn{Conn: s})
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Second)
		want("after 61 s", true, false, false)
		c := kept.take()
		if c.Conn != stubs[2] {
			t.Error("not the one that was used last")
		}
		time.Sleep(20 * time.Second)
		want("after 81 s", true, true, false)
		kept.put(c)
		time.Sleep(59 * time.Second)
		want("after 140 s", true, true, false)
		time.Sleep(2 * time.Second)
		want("after 142 s", true, true, true)
		if kept.take() != nil || kept.timer != nil {
			t.Error("something is left")
		}
	})
}
