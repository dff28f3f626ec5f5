package http1

import (
	"slices"
	"sync"
	"time"
)

// idle keeps the connections of a host that nobody uses, for as long as its
// server does or less. It is safe for concurrent use.
type idle struct {
	most    int           // connections to keep
	longest time.Duration // how long one is kept; 0: for ever

	mu     sync.Mutex
	habits habits
	conns  []*conn // the one that was given back last is at the end
	scout  *conn   // it is used no more, and watched until the server closes it
	looked time.Time
	timer  *time.Timer
	shut   bool // nothing is kept until one is asked for
}

// life is how long a connection is used after its last call. The lock is held.
func (i *idle) life() time.Duration {
	if life := i.habits.life(); i.longest <= 0 || life < i.longest {
		return life
	}
	return i.longest
}

// take returns the connection that was used last of those that can be used;
// nil: there is none.
func (i *idle) take() *conn {
	for {
		c := i.pop()
		if c == nil || c.good() {
			return c
		}
		i.lost(c)
		_ = c.Close()
	}
}

// pop takes the connection that was used last of those that are old enough, and
// not too old.
func (i *idle) pop() *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shut = false
	if len(i.conns) == 0 {
		return nil
	}
	now := time.Now()
	for n, c := range slices.Backward(i.conns) {
		age := now.Sub(c.since)
		if age >= i.life() {
			return nil // expire closes it
		}
		if c.streamed && age < settled && i.habits.streams == unknown {
			continue
		}
		c.age = age
		i.conns = slices.Delete(i.conns, n, n+1)
		return c
	}
	return nil
}

// lost notes that the server has closed a connection that was taken for a call.
func (i *idle) lost(c *conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.habits.closed(time.Now(), c.age, c.streamed)
}

// answered notes what the server has said of its connections, and that it had
// kept this one.
func (i *idle) answered(c *conn, announced time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if announced > 0 {
		i.habits.announced = announced
	}
	if c.streamed && i.habits.streams == unknown {
		i.habits.streams = keeps
	}
}

// put keeps a connection, and closes it where there are enough, or where the
// server will.
func (i *idle) put(c *conn) {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.shut || len(i.conns) >= i.most || c.streamed && i.habits.afterStream(now) == closes {
		_ = c.Close()
		return
	}
	c.since = now
	i.conns = append(i.conns, c)
	if i.timer == nil {
		i.timer = time.AfterFunc(i.life(), i.expire)
	}
}

// expire closes what has been kept for too long, and comes again when the next
// one will have been. Where it is not known how long the server keeps a
// connection, it watches one.
func (i *idle) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.timer = nil
	now, life, old := time.Now(), i.life(), 0
	for old < len(i.conns) && now.Sub(i.conns[old].since) >= life {
		if c := i.conns[old]; !i.watch(c, now) {
			_ = c.Close()
		}
		old++
	}
	i.conns = slices.Delete(i.conns, 0, old)
	next := i.look(now)
	if len(i.conns) > 0 {
		if left := life - now.Sub(i.conns[0].since); next == 0 || left < next {
			next = left
		}
	}
	if next > 0 {
		i.timer = time.AfterFunc(next, i.expire)
	}
}

// watch makes a connection the scout if there is need of one. The lock is held.
func (i *idle) watch(c *conn, now time.Time) bool {
	h := &i.habits
	if i.scout != nil || h.announced > 0 || h.watched || i.longest > 0 && now.Sub(c.since) >= i.longest {
		return false
	}
	i.scout, i.looked = c, c.since
	return true
}

// look looks whether the server has closed the scout, and returns when to look
// again; 0: there is none. The lock is held.
func (i *idle) look(now time.Time) time.Duration {
	c := i.scout
	if c == nil {
		return 0
	}
	age := now.Sub(c.since)
	open := c.good()
	if open {
		i.looked = now
	}
	if open && (i.longest <= 0 || age < i.longest) {
		return max(age/8, settled)
	}
	if kept := i.looked.Sub(c.since); kept >= settled {
		i.habits.seen, i.habits.watched = kept, true
	} else {
		i.habits.closed(now, age, c.streamed)
	}
	_ = c.Close()
	i.scout = nil
	return 0
}

// close closes all, and what is given back from now on.
func (i *idle) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.conns {
		_ = c.Close()
	}
	clear(i.conns)
	i.conns, i.shut = i.conns[:0], true
	if i.scout != nil {
		_ = i.scout.Close()
		i.scout = nil
	}
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
