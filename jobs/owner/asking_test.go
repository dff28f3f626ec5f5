package owner

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pelton/schema"
)

// One request for each model is called before its time; those that wait for the same
// model follow its success, and nothing else.
func TestAsking(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	waits := func() map[int]*schema.Parked {
		return map[int]*schema.Parked{
			1: {Model: "a", ReadyAt: now.Add(time.Second / 2)}, // comes by itself
			2: {Model: "a", ReadyAt: now.Add(time.Hour)},
			3: {Model: "a", ReadyAt: now.Add(time.Minute)},
			4: {Model: "b", ReadyAt: now.Add(time.Minute)},
			5: {Model: "b", ReadyAt: now.Add(time.Hour)},
		}
	}
	indexes := func(list map[int]*schema.Parked) []int { return slices.Sorted(maps.Keys(list)) }
	for _, tt := range []struct {
		name   string
		index  int
		status schema.Status
		after  time.Duration
		want   []int
	}{
		{"success", 2, schema.StatusSucceeded, 0, []int{3}},
		{"success of the other model", 4, schema.StatusSucceeded, 0, []int{5}},
		{"failure", 2, schema.StatusFailed, 0, nil},
		{"not asked", 3, schema.StatusSucceeded, 0, nil},
		{"the others come by themselves", 2, schema.StatusSucceeded, time.Minute, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a asking
			if first := indexes(a.begin(waits(), now)); !slices.Equal(first, []int{2, 4}) {
				t.Fatalf("%v are called first", first)
			}
			if more := a.begin(waits(), now); len(more) != 0 {
				t.Errorf("%v are called while others are on their way", indexes(more))
			}
			if got := indexes(a.answered(tt.index, tt.status, now.Add(tt.after))); !slices.Equal(got, tt.want) {
				t.Errorf("%v follow, want %v", got, tt.want)
			}
			if again := a.answered(tt.index, tt.status, now); again != nil {
				t.Errorf("%v follow a result that comes twice", indexes(again))
			}
		})
	}
}
