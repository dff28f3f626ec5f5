package jobs

import "sync"

// inbox hands values from many goroutines to one without making any of them
// wait.
type inbox[T any] struct {
	mu   sync.Mutex
	list []T
	wake chan struct{}
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{wake: make(chan struct{}, 1)} }

func (i *inbox[T]) put(v T) {
	i.mu.Lock()
	i.list = append(i.list, v)
	i.mu.Unlock()
	i.nudge()
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
	list := i.list
	i.list = spare[:0]
	return list
}
