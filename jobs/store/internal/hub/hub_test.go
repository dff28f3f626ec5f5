package hub

import (
	"slices"
	"testing"
)

func numbers(limits Limits) *Hub[string, int] {
	return New[string](limits, func(n int) (uint64, int) { return uint64(n), n })
}

// A reader gets what comes for its key while it is subscribed, and nothing else.
func TestReadersByKey(t *testing.T) {
	h := numbers(Limits{10, 100})
	h.Publish("a", 1)
	one, two, other := h.Subscribe("a"), h.Subscribe("a"), h.Subscribe("b")
	h.Publish("a", 2)
	h.Unsubscribe("a", two)
	h.Publish("a", 3)
	<-one.Wake()
	for sub, want := range map[*Subscription[int]][]int{one: {2, 3}, two: {2}, other: nil} {
		if items, dropped := sub.Take(nil); !slices.Equal(items, want) || dropped != 0 {
			t.Errorf("%v, dropped from %d; want %v", items, dropped, want)
		}
	}
	h.Unsubscribe("a", one)
	h.Unsubscribe("b", other)
	if len(h.of) != 0 {
		t.Errorf("%d keys are left behind", len(h.of))
	}
}

// What there is no room for is dropped, and so is all that comes behind it until the
// reader has taken what it has: it learns the lowest place of these.
func TestSlowReader(t *testing.T) {
	for name, limits := range map[string]Limits{"entries": {2, 1000}, "bytes": {1000, 11}} {
		t.Run(name, func(t *testing.T) {
			h := numbers(limits)
			sub := h.Subscribe("a")
			for _, n := range []int{5, 6, 9, 8} {
				h.Publish("a", n)
			}
			<-sub.Wake()
			items, dropped := sub.Take(nil)
			if !slices.Equal(items, []int{5, 6}) || dropped != 8 {
				t.Errorf("%v, dropped from %d", items, dropped)
			}
			h.Publish("a", 10)
			<-sub.Wake()
			if items, dropped = sub.Take(items); !slices.Equal(items, []int{10}) || dropped != 0 {
				t.Errorf("%v, dropped from %d, with room again", items, dropped)
			}
		})
	}
}
