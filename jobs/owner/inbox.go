package owner

import (
	"sync"
	"time"
)

// inbox hands values from many goroutines to one without making any of them
// wait.
type inbox[T any] struct {
	mu     sync.Mutex
	list   []T
	wake   chan struct{}
	wakeUp func()      // is nudge
	timer  *time.Timer // wakes the reader for what has time; nil: there was none yet
	armed  bool
}

// later is how long what has time may lie there.
const later = 25 * time.Millisecond

func newInbox[T any]() *inbox[T] {
	i := &inbox[T]{wake: make(chan struct{}, 1)}
	i.wakeUp = i.nudge
	return i
}

func (i *inbox[T]) put(v T) {
	i.mu.Lock()
	i.list = append(i.list, v)
	i.mu.Unlock()
	i.nudge()
}

// putLater adds v without waking the reader at once: it is woken within [later], or
// with the next put.
func (i *inbox[T]) putLater(v T) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.list = append(i.list, v)
	switch {
	case i.armed:
		return
	case i.timer == nil:
		i.timer = time.AfterFunc(later, i.nudge)
	default:
		i.timer.Reset(later)
	}
	i.armed = true
}

// nudge wakes the reader though there may be nothing for it.
func (i *inbox[T]) nudge() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox. spare is what the last call returned, to be filled
// again; its content is lost.
func (i *inbox[T]) take(spare []T) []T {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.armed {
		i.timer.Stop()
		i.armed = false
	}
	list := i.list
	i.list = spare[:0]
	return list
}
