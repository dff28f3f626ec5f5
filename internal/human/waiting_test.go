package human_test

import (
	"testing"
	"time"

	"pelton/internal/human"
	"pelton/schema"
)

func TestWaiting(t *testing.T) {
	now := time.Date(2026, 5, 1, 10, 0, 0, 0, time.Local)
	until := time.Date(2026, 5, 1, 10, 42, 7, 0, time.Local)
	for want, w := range map[string]schema.Waiting{
		"312 wait for small (429 until 10:42:07)":                   {Model: "small", Count: 312, Until: until, Cause: "429"},
		"1 waits for small (limit until 10:42:07)":                  {Model: "small", Count: 1, Until: until, Cause: "limit"},
		"1,000 wait for small (cooldown until 2026-05-02 10:42:07)": {Model: "small", Count: 1000, Until: until.AddDate(0, 0, 1), Cause: "cooldown"},
		"2 wait (until 10:42:07)":                                   {Count: 2, Until: until},
	} {
		if got := human.Waiting(w, now, human.Digits); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
