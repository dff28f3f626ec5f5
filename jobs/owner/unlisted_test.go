package owner

import (
	"testing"
	"time"

	"pelton/schema"
)

// A start is listed by the result that came after it, or it is counted at the end.
func TestUnlistedStarts(t *testing.T) {
	call := schema.Attempt{Deployment: "d", Usage: &schema.Usage{}}
	dropped := schema.Attempt{Deployment: "d", UsageUnknown: true}
	gone := schema.LostAttempt(time.Unix(1, 0))
	for name, tt := range map[string]struct {
		known    schema.Parked
		attempts []schema.Attempt
		want     int
	}{
		"the second lists the first":            {schema.Parked{Begun: make([]schema.Start, 1)}, []schema.Attempt{gone, call}, 0},
		"the first came back and stored":        {schema.Parked{Begun: make([]schema.Start, 1)}, []schema.Attempt{call}, 1},
		"the same, with a call of its own lost": {schema.Parked{Begun: make([]schema.Start, 1)}, []schema.Attempt{dropped, call}, 1},
		"the second of three stored":            {schema.Parked{Begun: make([]schema.Start, 2)}, []schema.Attempt{gone, call}, 1},
		"given up by one that lives":            {schema.Parked{}, []schema.Attempt{call}, 0},
		"parked, then answered":                 {schema.Parked{Heard: true, Begun: make([]schema.Start, 1), Attempts: []schema.Attempt{dropped}}, []schema.Attempt{dropped, call}, 0},
		"lost, parked, then answered":           {schema.Parked{Heard: true, Begun: make([]schema.Start, 1), Attempts: []schema.Attempt{gone}}, []schema.Attempt{gone, call}, 0},
		"parked, lost, then answered":           {schema.Parked{Heard: true, Begun: make([]schema.Start, 2)}, []schema.Attempt{gone, call}, 0},
		"parked, begun twice, the first stored": {schema.Parked{Heard: true, Begun: make([]schema.Start, 2)}, []schema.Attempt{call}, 1},
		"its owner gave it a result of its own": {schema.Parked{Begun: make([]schema.Start, 1)}, []schema.Attempt{gone, gone}, 0},
		"parked, and never begun again":         {schema.Parked{Heard: true}, nil, 0},
	} {
		if got := unlisted(&tt.known, tt.attempts); got != tt.want {
			t.Errorf("%s: %d starts are not listed, want %d", name, got, tt.want)
		}
	}
}
