package faultyllm

// ring keeps the last values pushed. How many may change from push to push.
type ring[T any] struct {
	buf  []T
	next int // where the oldest value stands once the ring is full
}

func (r *ring[T]) push(v T, keep int) {
	if keep <= 0 {
		r.buf, r.next = nil, 0
		return
	}
	if len(r.buf) > keep || len(r.buf) < keep && r.next != 0 {
		all := r.all()
		r.buf, r.next = all[max(0, len(all)-keep):], 0
	}
	if len(r.buf) < keep {
		r.buf = append(r.buf, v)
		return
	}
	r.buf[r.next] = v
	r.next = (r.next + 1) % keep
}

// at reports the i-th value, the oldest first.
func (r *ring[T]) at(i int) T { return r.buf[(r.next+i)%len(r.buf)] }

// all copies the values, the oldest first.
func (r *ring[T]) all() []T {
	out := make([]T, 0, len(r.buf))
	out = append(out, r.buf[r.next:]...)
	return append(out, r.buf[:r.next]...)
}
