package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pelton/schema"
)

// A list of jobs has one line per job, whatever the terminal's width; without a
// terminal nothing is cut, for programs read it.
func TestJobsFitTheTerminal(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	long := strings.Repeat("0123456789", 6)
	states := []schema.State{
		{ID: "night-1", Queue: "default", State: schema.Running, Total: 200_000, Counts: schema.Counts{Succeeded: 150_000, Failed: 12}, Rate: 812.4, CreatedAt: now.Add(-time.Hour)},
		{ID: long, Queue: "bulk", State: schema.CompletedWithErrors, Total: 1_000_000, Counts: schema.Counts{Succeeded: 1, Failed: 999_999}, CreatedAt: now.Add(-72 * time.Hour)},
		{ID: "j17", Queue: "default", State: schema.Failed, Reason: &schema.Reason{Code: schema.ReasonInvalidJob, Message: "no\njob"}, CreatedAt: now},
	}
	for _, width := range []int{0, 20, 40, 80, 120, 200} {
		for _, queues := range []bool{false, true} {
			var b strings.Builder
			if err := jobsTable(states, queues, width, now).write(&b, width); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			if len(lines) != len(states)+1 {
				t.Errorf("width %d: %d lines\n%s", width, len(lines), b.String())
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); width > 0 && n > width {
					t.Errorf("width %d: %d characters: %s", width, n, line)
				}
			}
			for _, want := range []string{"night-1", "running", "150012/200000", "completed_with_errors", "1000000/1000000"} {
				if (width == 0 || width >= 80) && !strings.Contains(b.String(), want) {
					t.Errorf("width %d: %s is not there\n%s", width, want, b.String())
				}
			}
			if (width == 0 || width == 200) && !strings.Contains(b.String(), long) {
				t.Errorf("width %d: an id is cut\n%s", width, b.String())
			}
			if width >= 120 && !strings.Contains(b.String(), "invalid_job") {
				t.Errorf("width %d: the reason is cut, and not the long id\n%s", width, b.String())
			}
		}
	}
}
