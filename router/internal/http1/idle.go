package http1

import (
	"slices"
	"sync"
	"time"
)

// idle keeps the connections of a host that nobody uses. It is safe for
// concurrent use.
type idle struct {
	most int           // connections to keep
	life time.Duration // how long one is kept; 0: for ever

	mu    sync.Mutex
	conns []*conn // the one that was given back last is at the end
	timer *time.Timer
	shut  bool // nothing is kept until one is asked for
}

// take returns the connection that was used last; nil: there is none.
func (i *idle) take() *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shut = false
	last := len(i.conns) - 1
	if last < 0 {
		return nil
	}
	c := i.conns[last]
	i.conns[last], i.conns = nil, i.conns[:last]
	return c
}

// put keeps a connection, and closes it where there are enough.
func (i *idle) put(c *conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.shut || len(i.conns) >= i.most {
		_ = c.Close()
		return
	}
	c.since = time.Now()
	i.conns = append(i.conns, c)
	if i.timer == nil && i.life > 0 {
		i.timer = time.AfterFunc(i.life, i.expire)
	}
}

// expire closes what has been kept for too long, and comes again when the next
// one will have been.
func (i *idle) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.timer = nil
	now, old := time.Now(), 0
	for old < len(i.conns) && now.Sub(i.conns[old].since) >= i.life {
		_ = i.conns[old].Close()
		old++
	}
	i.conns = slices.Delete(i.conns, 0, old)
	if len(i.conns) > 0 {
		i.timer = time.AfterFunc(i.life-now.Sub(i.conns[0].since), i.expire)
	}
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
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
}
