package owner

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pelton/jobs/store"
)

// at is a moment of a test's own clock.
func at(seconds int) time.Time { return time.Unix(int64(seconds), 0) }

func (w *window) mustNext(t *testing.T, want ...int) {
	t.Helper()
	for _, index := range want {
		got, ok := w.next()
		if !ok || got != index {
			t.Fatalf("next is %d, %t; want %d", got, ok, index)
		}
		w.put(got, at(0), "")
	}
}

func (w *window) mustHaveNoNext(t *testing.T) {
	t.Helper()
	if index, ok := w.next(); ok {
		t.Fatalf("next is %d, want none", index)
	}
}

func TestWindow(t *testing.T) {
	for name, run := range map[string]func(t *testing.T, w *window){
		"in the order of the input": func(t *testing.T, w *window) {
			w.mustNext(t, 0, 1, 2, 3, 4)
			w.mustHaveNoNext(t)
		},
		"what has its result is not fed": func(t *testing.T, w *window) {
			w.done(1)
			w.mustNext(t, 0, 2)
		},
		"what an earlier owner fed is not fed": func(t *testing.T, w *window) {
			w.restore(0, at(0))
			w.restore(7, at(0)) // no such index
			w.mustNext(t, 1)
			if w.inQueue() != 2 {
				t.Errorf("%d in the queue", w.inQueue())
			}
		},
		"the lost comes first, once, and is looked up": func(t *testing.T, w *window) {
			w.mustNext(t, 0, 1)
			if w.begunBefore(0) || !w.requeue(0) || w.requeue(0) || !w.begunBefore(0) || w.begunBefore(1) {
				t.Error("requeued not once, or not as begun before")
			}
			w.mustNext(t, 0, 2)
		},
		"what is lost and then stored is not fed": func(t *testing.T, w *window) {
			w.mustNext(t, 0)
			w.requeue(0)
			w.done(0)
			w.mustNext(t, 1)
		},
		"a result counts once": func(t *testing.T, w *window) {
			w.put(0, at(0), "body")
			if object, first := w.done(0); object != "body" || !first {
				t.Errorf("%q, %t", object, first)
			}
			if object, first := w.done(0); object != "" || first {
				t.Errorf("%q, %t", object, first)
			}
		},
		"the parked keeps its place and comes back at its time": func(t *testing.T, w *window) {
			w.put(0, at(0), "body")
			w.park(0, at(5), store.Wait{})
			w.park(0, at(5), store.Wait{}) // told twice
			w.park(3, at(1), store.Wait{}) // is not out
			if w.room(1, 1, 0) != 0 || w.inQueue() != 0 {
				t.Errorf("room %d, %d in the queue", w.room(1, 1, 0), w.inQueue())
			}
			if ready, ok := w.nextReady(); !ok || !ready.Equal(at(5)) {
				t.Errorf("ready at %v, %t", ready, ok)
			}
			if objects := w.unpark(at(4)); objects != nil || w.requeue(0) {
				t.Errorf("back before its time: %v", objects)
			}
			if objects := w.unpark(at(5)); !slices.Equal(objects, []string{"body"}) || !w.begunBefore(0) {
				t.Errorf("%v", objects)
			}
			w.mustNext(t, 0)
			if w.waiting != 0 {
				t.Errorf("%d parked", w.waiting)
			}
		},
		"a parked one that is stored does not come back": func(t *testing.T, w *window) {
			w.mustNext(t, 0)
			w.park(0, at(5), store.Wait{})
			w.done(0)
			w.unpark(at(5))
			w.mustNext(t, 1)
		},
		"room is the bound's and the share's, and what is prefetched": func(t *testing.T, w *window) {
			w.mustNext(t, 0, 1)
			w.park(0, at(5), store.Wait{})
			for _, c := range []struct{ bound, share, prefetch, want int }{
				{4, 4, 0, 2}, {4, 1, 0, 0}, {4, 2, 0, 1}, {2, 9, 0, 0}, {2, 9, 3, 3}, {1, 1, 0, -1},
			} {
				if got := w.room(c.bound, c.share, c.prefetch); got != c.want {
					t.Errorf("%+v: room %d", c, got)
				}
			}
		},
		"what is old was fed before and is not parked": func(t *testing.T, w *window) {
			w.put(0, at(1), "")
			w.put(1, at(2), "")
			w.put(2, at(1), "")
			w.park(2, at(9), store.Wait{})
			if old := w.older(at(2)); !slices.Equal(old, []int{0}) {
				t.Errorf("%v", old)
			}
		},
		"closed: what was lost is waited for, what never began is not": func(t *testing.T, w *window) {
			w.mustNext(t, 0, 1, 2)
			w.requeue(0)
			w.close([]int{2}, at(3))
			if w.requeue(1) {
				t.Error("requeued in a closed window")
			}
			if list := sorted(w.unfinished(false)); !slices.Equal(list, []int{0, 1}) {
				t.Errorf("out are %v", list)
			}
		},
		"closed: the parked stay so": func(t *testing.T, w *window) {
			w.mustNext(t, 0, 1)
			w.park(0, at(5), store.Wait{})
			w.close(nil, at(3))
			w.unpark(at(6))
			if _, ok := w.nextReady(); ok || !slices.Equal(w.unfinished(true), []int{0}) {
				t.Errorf("parked are %v", w.unfinished(true))
			}
		},
		"closed: what the queue forgot may have begun": func(t *testing.T, w *window) {
			w.done(1)
			w.inherit(3, true)
			w.mustNext(t, 0)
			w.close(nil, at(3))
			if list := sorted(w.unfinished(false)); !slices.Equal(list, []int{0, 2}) {
				t.Errorf("out are %v", list)
			}
		},
		"an earlier owner's are looked up": func(t *testing.T, w *window) {
			w.inherit(2, false)
			w.mustNext(t, 0, 1, 2)
			if !w.begunBefore(1) || w.begunBefore(2) {
				t.Error("index 1 may have been begun, index 2 not")
			}
			w.close(nil, at(3))
			if n := len(w.unfinished(false)); n != 3 {
				t.Errorf("%d are out", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWindow(5)
			run(t, &w)
		})
	}
}

func sorted(list []int) []int {
	slices.Sort(list)
	return list
}

// Whatever happens to the requests of a job, no more are out than its bound and
// what is prefetched, none is handed out that is out or has its result, and each
// gets one result.
func TestWindowHoldsItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, bound := rapid.IntRange(0, 40).Draw(t, "total"), rapid.IntRange(1, 8).Draw(t, "bound")
		share, prefetch := rapid.IntRange(1, 10).Draw(t, "share"), rapid.IntRange(0, 4).Draw(t, "prefetch")
		w, now, results := newWindow(total), 0, map[int]int{}
		pick := func(list []int) (int, bool) {
			if len(list) == 0 {
				return 0, false
			}
			return rapid.SampledFrom(sorted(list)).Draw(t, "index"), true
		}
		feed := func() {
			for w.room(bound, share, prefetch) > 0 {
				index, ok := w.next()
				if !ok {
					return
				}
				if w.has(index) {
					t.Fatalf("request %d is handed out though it is out or has its result", index)
				}
				w.put(index, at(now), "")
			}
		}
		finish := func(index int) {
			if _, first := w.done(index); first {
				results[index]++
			}
		}
		check := func() {
			if len(w.out) > bound+prefetch || w.inQueue() > share+prefetch {
				t.Fatalf("%d are out, %d of them in the queue; the bound is %d, the share %d, prefetched %d", len(w.out), w.inQueue(), bound, share, prefetch)
			}
			if n := len(w.unfinished(true)); n != w.waiting {
				t.Fatalf("%d are parked, %d are counted", n, w.waiting)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"feed": func(*rapid.T) { feed() },
			"result": func(*rapid.T) {
				if index, ok := pick(w.unfinished(false)); ok {
					finish(index)
				}
			},
			"again": func(*rapid.T) { // of whatever request, out or not
				if total > 0 {
					finish(rapid.IntRange(0, min(total-1, w.cursor)).Draw(t, "index"))
				}
			},
			"lost": func(*rapid.T) {
				if index, ok := pick(w.unfinished(false)); ok {
					w.requeue(index)
				}
			},
			"park": func(*rapid.T) {
				if index, ok := pick(w.unfinished(false)); ok {
					w.park(index, at(now+rapid.IntRange(0, 5).Draw(t, "wait")), store.Wait{})
				}
			},
			"time": func(*rapid.T) {
				now++
				w.unpark(at(now))
			},
			"": func(*rapid.T) { check() },
		})
		for range total + 1 { // to the end
			now += 10
			w.unpark(at(now))
			feed()
			check()
			for _, index := range w.unfinished(false) {
				finish(index)
			}
		}
		for index := range total {
			if results[index] != 1 {
				t.Fatalf("request %d has %d results", index, results[index])
			}
		}
	})
}
