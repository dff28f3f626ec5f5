package http1

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// stub is a connection that knows whether it was closed, and whether its server
// has closed it. No real one stands still under the clock of synctest.
type stub struct {
	net.Conn
	closed, gone atomic.Bool
}

func (s *stub) Close() error {
	s.closed.Store(true)
	return nil
}

// stubLook is how one is looked at.
type stubLook struct {
	syscall.RawConn
	at *stub
	by *conn
}

func (l stubLook) Control(func(fd uintptr)) error {
	l.by.quiet = !l.at.gone.Load()
	return nil
}

// stubConn returns a connection over a stub.
func stubConn() (*conn, *stub) {
	s := &stub{}
	c := &conn{Conn: s}
	c.raw = stubLook{at: s, by: c}
	return c, s
}

// A connection that nobody has used for long is closed, though nobody asks.
func TestIdleForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := idle{most: 10, longest: time.Minute, habits: habits{announced: time.Hour}}
		var conns []*conn
		var stubs []*stub
		want := func(at string, closed ...bool) {
			t.Helper()
			synctest.Wait()
			for i, s := range stubs {
				if s.closed.Load() != closed[i] {
					t.Errorf("%s: connection %d closed: %t", at, i, !closed[i])
				}
			}
		}
		for range 3 {
			c, s := stubConn()
			conns, stubs = append(conns, c), append(stubs, s)
			kept.put(c)
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Second)
		want("after 61 s", true, false, false)
		c := kept.take()
		if c != conns[2] {
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

// How long a connection is used after its last call: by what the server
// announces, by what it does, and at first for less than any known one keeps it.
func TestLife(t *testing.T) {
	// ages are of connections that the server is seen to have closed.
	for name, tt := range map[string]struct {
		announced, longest time.Duration
		ages               []time.Duration
		want               time.Duration
	}{
		"nothing known":           {want: 1500 * time.Millisecond},
		"announced":               {announced: 5 * time.Second, want: 4 * time.Second},
		"announced, and a bound":  {announced: time.Hour, longest: 90 * time.Second, want: 90 * time.Second},
		"seen":                    {ages: []time.Duration{time.Second}, want: 500 * time.Millisecond},
		"seen earlier":            {ages: []time.Duration{time.Second, 500 * time.Millisecond, time.Second}, want: 250 * time.Millisecond},
		"earlier than announced":  {announced: 5 * time.Second, ages: []time.Duration{time.Second}, want: 500 * time.Millisecond},
		"later than announced":    {announced: time.Second, ages: []time.Duration{2 * time.Second}, want: 800 * time.Millisecond},
		"ended after its answer":  {ages: []time.Duration{time.Millisecond}, want: 1500 * time.Millisecond},
		"a bound below the first": {longest: time.Second, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			kept := idle{longest: tt.longest, habits: habits{announced: tt.announced}}
			for _, age := range tt.ages {
				kept.habits.closed(time.Now(), age, false)
			}
			if got := kept.life(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// One connection that is used no more is watched: until when the server keeps it
// is how long the others are used from then on.
func TestScout(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		5 * time.Second: 2500 * time.Millisecond, 2 * time.Second: time.Second,
		0: 50 * time.Second, // for longer than it is watched
	} {
		t.Run(limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := idle{most: 10, longest: 90 * time.Second}
				var stubs []*stub
				for range 3 {
					c, s := stubConn()
					stubs = append(stubs, s)
					kept.put(c)
					if limit > 0 {
						time.AfterFunc(limit, func() { s.gone.Store(true) })
					}
				}
				time.Sleep(1600 * time.Millisecond)
				synctest.Wait()
				open := 0
				for _, s := range stubs {
					if !s.closed.Load() {
						open++
					}
				}
				if open != 1 || kept.take() != nil {
					t.Errorf("%d are open", open)
				}
				time.Sleep(100 * time.Second)
				synctest.Wait()
				if got := kept.life(); got > want || got < want*4/5 || kept.timer != nil || kept.scout != nil {
					t.Errorf("used for %v, want nearly %v", got, want)
				}
				for i, s := range stubs {
					if !s.closed.Load() {
						t.Errorf("%d is open", i)
					}
				}
			})
		})
	}
}

// A connection that had a streamed answer is not used before it was seen that the
// server does not close it with the answer; one that does has none kept.
func TestAfterStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streamed := func() (*conn, *stub) {
			c, s := stubConn()
			c.streamed, c.used = true, true
			return c, s
		}
		kept := idle{most: 10}
		defer kept.close()
		plain, _ := stubConn()
		kept.put(plain)
		first, _ := streamed()
		kept.put(first)
		if c := kept.take(); c != plain {
			t.Error("not the one that had no stream")
		}
		if kept.take() != nil {
			t.Error("used at once")
		}
		time.Sleep(settled)
		if c := kept.take(); c != first {
			t.Error("not used later")
		}
		kept.answered(first, 0)
		kept.put(first)
		if c := kept.take(); c != first {
			t.Error("not used at once, though it is known to be kept")
		}
		kept.lost(first) // by a server that ended, or is another one now
		second, gone := streamed()
		kept.put(second)
		gone.gone.Store(true)
		time.Sleep(settled)
		if kept.take() != nil || !gone.closed.Load() {
			t.Error("used though it is closed")
		}
		third, closed := streamed()
		if kept.put(third); !closed.closed.Load() {
			t.Error("kept from a server that closes it")
		}
		time.Sleep(distrust + time.Second)
		fourth, again := streamed()
		if kept.put(fourth); again.closed.Load() {
			t.Error("never kept any more")
		}
	})
}

func TestKeepAlive(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "timeout=5": 5 * time.Second, "timeout=5, max=100": 5 * time.Second, "max=3,TIMEOUT = 60": time.Minute,
		"timeout=0": 1, "timeout=x": 0, "timeout": 0, "timeout=-1": 0, "max=1": 0, "timeout=99999999999": 0,
	} {
		if got := keepAlive(map[string][]string{"Keep-Alive": {text}}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
