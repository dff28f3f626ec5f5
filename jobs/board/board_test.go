package board_test

import (
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/board"
	"pelton/schema"
)

// become waits until the board says so.
func become(t *testing.T, b *board.Board, what string, so func() bool) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		change := b.Changed()
		if so() {
			return
		}
		select {
		case <-change:
		case <-late:
			t.Fatalf("%s: %+v", what, b.Totals())
		}
	}
}

// A board knows jobs that nobody has taken, and follows them to their end.
func TestBoardFollowsJobs(t *testing.T) {
	env := testenv.New(t)
	st := env.Store(map[string]int{"default": 4})
	client := env.Client()
	_, err := client.Submit(env.Ctx(), schema.Job{ID: "before", Requests: testenv.Chats(3)})
	if err != nil {
		t.Fatal(err)
	}
	b := board.Open(st)
	t.Cleanup(b.Close)
	if err := b.Wait(env.Ctx()); err != nil {
		t.Fatal(err)
	}
	totals := func() board.QueueTotals {
		for _, one := range b.Totals() {
			if one.Queue == "default" {
				return one
			}
		}
		return board.QueueTotals{}
	}
	if one := totals(); one.Jobs[schema.Queued] != 1 || one.Wanted != 3 || one.Oldest.IsZero() {
		t.Errorf("a job that waits: %+v", one)
	}
	if _, err := client.Submit(env.Ctx(), schema.Job{ID: "after", Requests: testenv.Chats(4)}); err != nil {
		t.Fatal(err)
	}
	become(t, b, "another job waits", func() bool { one := totals(); return one.Jobs[schema.Queued] == 2 && one.Wanted == 7 })
	if page, n := b.Jobs(board.JobFilter{States: []schema.Phase{schema.Queued}}, 1, 5); n != 2 || len(page) != 1 || page[0].ID != "before" {
		t.Errorf("%d jobs, of which the second is %v", n, page)
	}

	env.Worker(map[string]int{"default": 4})
	become(t, b, "both have ended", func() bool {
		one := totals()
		return one.Jobs[schema.Succeeded] == 2 && one.Jobs[schema.Queued] == 0 && one.Wanted == 0 && one.Oldest.IsZero()
	})
	if s := b.Job("default", "before"); s == nil || s.Counts.Succeeded != 3 {
		t.Errorf("%+v", s)
	}
	if _, n := b.Jobs(board.JobFilter{ID: "efor"}, 0, 5); n != 1 {
		t.Errorf("%d jobs have it in their id", n)
	}
	if _, n := b.Jobs(board.JobFilter{Queue: "bulk"}, 0, 5); n != 0 {
		t.Errorf("%d jobs of another queue", n)
	}
}

// A search finds by headers, goes on where it stopped, and says when there is no
// more.
func TestFindGoesOn(t *testing.T) {
	env := testenv.New(t)
	env.Worker(map[string]int{"default": 4})
	requests := testenv.Chats(200)
	for i := range requests {
		if i%20 == 0 {
			requests[i] = testenv.Chat("bad", `{"status":400,"code":"bad_thing"}`)
		}
	}
	requests[77].CustomID = "the one, 100%"
	h, err := env.Client().Submit(env.Ctx(), schema.Job{ID: "j", Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Wait(env.Ctx()); err != nil {
		t.Fatal(err)
	}
	all := func(s jobs.Search, most int) (indexes []int, looked int) {
		for {
			found, err := h.Find(env.Ctx(), s, most, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			indexes, looked = append(indexes, found.Indexes...), looked+found.Looked
			if s.After = found.Next; s.After == 0 {
				return indexes, looked
			}
		}
	}
	for _, most := range []int{1, 3, 1000} {
		if failed, looked := all(jobs.Search{Status: schema.StatusFailed}, most); len(failed) != 10 || looked != 200 {
			t.Errorf("%d at a time: %d failed among %d: %v", most, len(failed), looked, failed)
		}
	}
	if one, _ := all(jobs.Search{CustomID: "the one, 100%"}, 5); len(one) != 1 || one[0] != 77 {
		t.Errorf("%v", one)
	}
	if coded, _ := all(jobs.Search{Code: "bad_thing", Status: schema.StatusFailed}, 50); len(coded) != 10 {
		t.Errorf("%v", coded)
	}
	if none, looked := all(jobs.Search{Code: "other"}, 50); len(none) != 0 || looked != 200 {
		t.Errorf("%v among %d", none, looked)
	}
	// No time at all is enough for some.
	if found, err := h.Find(env.Ctx(), jobs.Search{Code: "other"}, 50, 0); err != nil || found.Next == 0 || found.Looked == 0 || found.Looked >= 200 {
		t.Errorf("%+v, %v", found, err)
	}
	results, err := h.At(env.Ctx(), []int{77, 0, 5000})
	if err != nil || len(results) != 3 || results[0].CustomID != "the one, 100%" || results[1].Status != schema.StatusFailed || results[2] != nil {
		t.Errorf("%v, %v", results, err)
	}
}
