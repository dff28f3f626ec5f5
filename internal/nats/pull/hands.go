package pull

import (
	"sync"
	"sync/atomic"
)

// hands are goroutines that handle deliveries, one each at a time. A goroutine that
// is new has a small stack, which a call through the router doubles several times;
// one that stays has done that.
type hands struct {
	handle func(*Delivery)
	work   chan *Delivery // unbuffered: who takes from it has nothing else to do
	idle   atomic.Int32
	all    sync.WaitGroup
}

// keepIdle is how many stay when there is nothing to do.
const keepIdle = 64

func newHands(handle func(*Delivery)) *hands {
	return &hands{handle: handle, work: make(chan *Delivery)}
}

// give hands a delivery over, and waits for nobody.
func (h *hands) give(d *Delivery) {
	select {
	case h.work <- d:
	default:
		h.all.Add(1)
		go h.stay(d)
	}
}

func (h *hands) stay(d *Delivery) {
	defer h.all.Done()
	for more := true; more; {
		h.handle(d)
		if h.idle.Add(1) > keepIdle {
			h.idle.Add(-1)
			return
		}
		d, more = <-h.work
		h.idle.Add(-1)
	}
}

// end waits until all have gone. What was given must have been handled, and
// nothing may be given any more.
func (h *hands) end() {
	close(h.work)
	h.all.Wait()
}
