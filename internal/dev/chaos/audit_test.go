package chaos

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/schema"
)

var zero = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// at is a moment of a made-up round, in seconds.
func at(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }

// story is a round in which all went well: a job of four requests, of
// which two were called at a time and three might have been.
func story() *Evidence {
	e := &Evidence{Cap: 10, Slots: 10}
	j := Job{ID: "j", Total: 4, Concurrency: 3}
	reading := Reading{Job: "j", By: "reader", Order: schema.OrderInput, Ended: true}
	for i := range 4 {
		start := 10 + float64(i/2)
		e.Calls = append(e.Calls, call("w0-1", i, start, start+0.5, 200))
		j.Results = append(j.Results, stored(i, start+0.51, attempt(start, 0.5, 200)))
		reading.Items = append(reading.Items, Item{Index: i, Finished: j.Results[i].Finished})
	}
	j.Ends = []End{{Seq: 100, At: at(12), State: schema.Succeeded, Total: 4, Counts: schema.Counts{Succeeded: 4}}}
	e.Jobs, e.Readings = []Job{j}, []Reading{reading}
	return e
}

func call(worker string, index int, start, end float64, status int) Call {
	return Call{Worker: worker, Job: "j", Index: index, Start: at(start), End: at(end), Status: status, Aborted: status == 0}
}

func attempt(start, length float64, status int) schema.Attempt {
	a := schema.Attempt{StartedAt: at(start), LatencyMs: length * 1000, StatusCode: status}
	if status != 200 {
		a.Error = &schema.Error{Code: "failed"}
	}
	return a
}

func stored(index int, when float64, attempts ...schema.Attempt) Stored {
	return Stored{
		Index: index, Seq: uint64(index + 1), At: at(when), Finished: at(when), Status: schema.StatusSucceeded,
		CustomID: customID("j", index), Answer: answerTo("j", index) + "xxx", Attempts: attempts,
	}
}

// Each promise, broken in a made-up record, is found, and nothing else is.
func TestAuditFinds(t *testing.T) {
	for name, row := range map[string]struct {
		want   Breach
		change func(e *Evidence, j *Job)
	}{
		"a call after a counted failure, beside the one that counts": {CallUnexplained, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.1, 429), call("w1-1", 0, 5.0, 5.1, 500))
			j.Results[0].Attempts = []schema.Attempt{attempt(3.0, 0.1, 429), attempt(10, 0.5, 200)}
		}},
		"the same at the end": {CallUnexplained, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 10.6, 10.7, 500))
			e.Calls[0].Status = 500
			j.Results[0].Status, j.Results[0].Answer = schema.StatusFailed, ""
			j.Results[0].Attempts = []schema.Attempt{attempt(10, 0.5, 500)}
			j.Ends[0].Counts, j.Ends[0].State = schema.Counts{Succeeded: 3, Failed: 1}, schema.CompletedWithErrors
		}},
		"a result that is not there": {ResultLost, func(e *Evidence, j *Job) {
			j.Results, e.Calls, e.Readings = j.Results[:3], e.Calls[:3], nil
			j.Ends[0].Counts, j.Ends[0].State = schema.Counts{Succeeded: 3, NotStarted: 1}, schema.Cancelled
		}},
		"a call that led to nothing": {ResultLost, func(e *Evidence, j *Job) {
			j.Cancelled, j.Results, e.Readings = true, j.Results[:3], nil
			j.Ends[0].Counts, j.Ends[0].State = schema.Counts{Succeeded: 3, NotStarted: 1}, schema.Cancelled
		}},
		"two results": {ResultTwice, func(_ *Evidence, j *Job) {
			again := j.Results[1]
			again.Seq = 50
			j.Results = append(j.Results, again)
		}},
		"a result that was overwritten": {ResultReplaced, func(e *Evidence, _ *Job) { e.Missing = 1 }},
		"an answer to another request": {ResultForeign, func(_ *Evidence, j *Job) {
			j.Results[2].Answer = answerTo("j", 1)
		}},
		"another request's custom id": {ResultForeign, func(_ *Evidence, j *Job) { j.Results[2].CustomID = customID("j", 3) }},
		"a cancel that nobody wanted": {ResultForeign, func(_ *Evidence, j *Job) {
			j.Results[2].Status = schema.StatusCancelled
			j.Ends[0].Counts, j.Ends[0].State = schema.Counts{Succeeded: 3, Cancelled: 1}, schema.Cancelled
		}},
		"a result behind the end": {ResultLate, func(_ *Evidence, j *Job) { j.Results[3].Seq = 101 }},
		"a call too many": {CallUnexplained, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 1, 10.2, 10.4, 200))
		}},
		"a call too many, beside another worker's death": {CallUnexplained, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 1, 10.2, 10.4, 200))
			e.Faults = append(e.Faults, Fault{KillWorker, "w2-1", at(10.1), at(10.1)})
		}},
		"a call too many, beside a fault that is no excuse": {CallUnexplained, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 1, 10.2, 10.4, 200))
			e.Faults = append(e.Faults, Fault{CutShort, "w0-1", at(10.1), at(10.9)}, Fault{SlowDisk, "", at(9), at(12)},
				Fault{FullStore, "", at(9), at(12)}, Fault{UpstreamHangs, "", at(9), at(12)}, Fault{DrainWorker, "w0-1", at(10.1), at(10.6)})
		}},
		"a pause shorter than it takes": {CallUnexplained, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 1, 10.2, 10.4, 200))
			e.Faults = append(e.Faults, Fault{PauseWorker, "w0-1", at(10.1), at(12.1)})
		}},
		"two calls too many for one death": {CallUnexplained, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 1, 9.0, 9.3, 0), call("w2-1", 1, 9.6, 9.8, 200))
			e.Faults = append(e.Faults, Fault{KillWorker, "w1-1", at(9.2), at(9.2)})
		}},
		"an attempt that was never made": {CallUnrecorded, func(_ *Evidence, j *Job) {
			j.Results[0].Attempts = append(j.Results[0].Attempts, attempt(10.7, 0.1, 500))
		}},
		"a call for what was stored": {CallNeedless, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 13.2, 13.3, 200))
			e.Faults = append(e.Faults, Fault{KillServer, "", at(10.2), at(10.9)})
		}},
		"a call after the end": {CallAfterEnd, func(e *Evidence, j *Job) {
			j.Results[3].At = at(15) // so that this is not what is wrong
			e.Calls = append(e.Calls, call("w1-1", 3, 14.9, 15, 200))
			e.Faults = append(e.Faults, Fault{KillServer, "", at(11.2), at(11.9)})
		}},
		"the bound": {BoundExceeded, func(e *Evidence, j *Job) { j.Concurrency = 1 }},
		"the cap":   {CapExceeded, func(e *Evidence, _ *Job) { e.Cap = 1 }},
		"the slots": {SlotsExceeded, func(e *Evidence, _ *Job) { e.Slots = 1 }},
		"no end":    {EndMissing, func(_ *Evidence, j *Job) { j.Ends = nil }},
		"two ends":  {EndTwice, func(_ *Evidence, j *Job) { j.Ends = append(j.Ends, j.Ends[0]) }},
		"a count":   {EndUntrue, func(_ *Evidence, j *Job) { j.Ends[0].Counts.Succeeded = 3 }},
		"a state":   {EndUntrue, func(_ *Evidence, j *Job) { j.Ends[0].State = schema.CompletedWithErrors }},
		"the order": {OrderBroken, func(e *Evidence, _ *Job) {
			items := e.Readings[0].Items
			items[1], items[2] = items[2], items[1]
		}},
		"the order of completion": {OrderBroken, func(e *Evidence, j *Job) {
			e.Readings[0].Order = schema.OrderCompletion
			j.Results[1].Seq, j.Results[2].Seq = 3, 2
		}},
		"a reader given a result twice": {ReadingUntrue, func(e *Evidence, _ *Job) {
			e.Readings[0].Items = append(e.Readings[0].Items, e.Readings[0].Items[3])
		}},
		"a reader given another result": {ReadingUntrue, func(e *Evidence, _ *Job) { e.Readings[0].Items[1].Finished = at(9) }},
		"a reader given too little":     {ReadingShort, func(e *Evidence, _ *Job) { e.Readings[0].Items = e.Readings[0].Items[:3] }},
		"a reader that waits":           {ReadingStalled, func(e *Evidence, _ *Job) { e.Readings[0].Ended = false }},
	} {
		t.Run(name, func(t *testing.T) {
			e := story()
			row.change(e, &e.Jobs[0])
			v := Audit(e)
			if len(v.Violations) == 0 {
				t.Fatal("nothing was found")
			}
			for _, found := range v.Violations {
				// A job without all results has no state that would be true of it.
				follows := found.Breach == EndUntrue && len(e.Jobs[0].Ends) > 0 && e.Jobs[0].Ends[0].State == schema.Cancelled
				if found.Breach != row.want && !follows {
					t.Errorf("found %+v", found)
				}
			}
			if !slices.ContainsFunc(v.Violations, func(v Violation) bool { return v.Breach == row.want }) {
				t.Errorf("%s was not found", row.want)
			}
		})
	}
}

// What the promises allow is attributed to the fault that explains it.
func TestAuditExplains(t *testing.T) {
	for name, row := range map[string]struct {
		want   map[Kind]int
		change func(e *Evidence, j *Job)
	}{
		"nothing happened": {nil, func(*Evidence, *Job) {}},
		"a counted retry": {nil, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w0-1", 0, 9.0, 9.1, 500))
			j.Results[0].Attempts = []schema.Attempt{attempt(9.0, 0.1, 500), attempt(10, 0.5, 200)}
		}},
		"a call that its worker gave up, and tried again at once": {nil, func(e *Evidence, j *Job) {
			j.Concurrency = 2
			e.Calls = append(e.Calls, call("w0-1", 0, 5, 10.005, 0))
			e.Calls[1].Start = at(9.9)
			j.Results[0].Attempts = []schema.Attempt{attempt(5, 5, 0), attempt(10, 0.5, 200)}
			j.Results[1].Attempts[0].StartedAt = at(9.9)
		}},
		"a retry on another worker, after it was parked": {nil, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 5.0, 5.1, 429))
			j.Results[0].Attempts = []schema.Attempt{attempt(5.0, 0.1, 429), attempt(10, 0.5, 200)}
		}},
		"a worker killed in mid-call": {map[Kind]int{KillWorker: 1}, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.2, 0))
			e.Faults = append(e.Faults, Fault{KillWorker, "w1-1", at(3.2), at(3.2)})
		}},
		"a worker killed before its next attempt": {map[Kind]int{KillOwner: 2}, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.2, 500), call("w1-1", 0, 3.7, 3.9, 0))
			e.Faults = append(e.Faults, Fault{KillOwner, "w1-1", at(3.9), at(3.9)})
		}},
		"a worker killed between its answer and the store": {map[Kind]int{KillWorker: 1}, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.2, 200))
			e.Faults = append(e.Faults, Fault{KillWorker, "w1-1", at(3.21), at(3.22)})
		}},
		"a worker killed with what had been parked": {map[Kind]int{KillWorker: 2}, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.1, 429), call("w1-1", 0, 5.0, 5.1, 500), call("w1-1", 0, 5.3, 5.5, 0))
			j.Results[0].Attempts = []schema.Attempt{attempt(3.0, 0.1, 429), attempt(10, 0.5, 200)}
			e.Faults = append(e.Faults, Fault{KillWorker, "w1-1", at(5.5), at(5.5)})
		}},
		"the same twice": {map[Kind]int{KillWorker: 2}, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.1, 429), call("w1-1", 0, 5.0, 5.1, 0), call("w2-1", 0, 7.0, 7.1, 0))
			j.Results[0].Attempts = []schema.Attempt{attempt(3.0, 0.1, 429), attempt(10, 0.5, 200)}
			e.Faults = append(e.Faults, Fault{KillWorker, "w1-1", at(5.1), at(5.1)}, Fault{KillWorker, "w2-1", at(7.1), at(7.1)})
		}},
		"two deaths": {map[Kind]int{KillWorker: 1, KillServer: 1}, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.2, 0), call("w2-1", 0, 4.0, 4.9, 0))
			e.Faults = append(e.Faults, Fault{KillWorker, "w1-1", at(3.2), at(3.2)}, Fault{KillServer, "", at(4.5), at(5.0)})
		}},
		"a paused worker's call is made again, and its own answer stands": {map[Kind]int{PauseWorker: 1}, func(e *Evidence, j *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 3.0, 3.2, 200))
			e.Calls[0] = call("w0-1", 0, 9.2, 10, 200)
			j.Results[0].Attempts = []schema.Attempt{attempt(3.0, 7.2, 200)}
			e.Faults = append(e.Faults, Fault{PauseWorker, "w1-1", at(3.1), at(10.2)})
		}},
		"a paused worker stores its answer, and the job goes on beside the call that was made again": {map[Kind]int{PauseWorker: 1}, func(e *Evidence, j *Job) {
			j.Concurrency = 2 // of the calls 1, 2 and 3, the last two begin at 11
			e.Calls[1] = call("w1-1", 1, 3.0, 3.2, 200)
			e.Calls = append(e.Calls, call("w0-1", 1, 9.8, 11.5, 200))
			j.Results[1].Attempts = []schema.Attempt{attempt(3.0, 0.2, 200)}
			e.Faults = append(e.Faults, Fault{PauseWorker, "w1-1", at(3.1), at(10.4)})
		}},
		"a broker that forgot, over the bound": {map[Kind]int{KillServer: 2}, func(e *Evidence, j *Job) {
			j.Concurrency = 2
			e.Calls = append(e.Calls, call("w1-1", 0, 9.5, 10.4, 200), call("w1-1", 1, 9.5, 10.4, 200))
			e.Faults = append(e.Faults, Fault{KillServer, "", at(9.7), at(9.9)})
		}},
		"a cancel stored by the owner": {nil, func(e *Evidence, j *Job) {
			j.Cancelled, e.Readings = true, nil
			j.Results[3].Status, j.Results[3].Attempts = schema.StatusCancelled, nil
			j.Ends[0].Counts, j.Ends[0].State = schema.Counts{Succeeded: 3, Cancelled: 1}, schema.Cancelled
		}},
		"a call that was paused on its way": {map[Kind]int{PauseWorker: 1}, func(e *Evidence, _ *Job) {
			e.Calls = append(e.Calls, call("w1-1", 0, 18, 18.1, 200))
			e.Faults = append(e.Faults, Fault{PauseWorker, "w1-1", at(9), at(17.9)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := story()
			row.change(e, &e.Jobs[0])
			v := Audit(e)
			if len(v.Violations) > 0 {
				t.Errorf("found %+v", v.Violations)
			}
			if len(v.Extra) != len(row.want) {
				t.Errorf("attributed %v, want %v", v.Extra, row.want)
			}
			for kind, n := range row.want {
				if v.Extra[kind] != n {
					t.Errorf("attributed %v, want %v", v.Extra, row.want)
				}
			}
		})
	}
}

// A seed names one schedule, and another another.
func TestPlanRepeats(t *testing.T) {
	for n := range 6 {
		one, first := Plan(7, n, 25)
		other, second := Plan(7, n, 25)
		if one != other || !slices.Equal(first, second) {
			t.Errorf("round %d differs from itself", n)
		}
		if _, third := Plan(8, n, 25); slices.Equal(first, third) {
			t.Errorf("round %d is the same under another seed", n)
		}
		if text := describePlan(n, one, first); strings.Count(text, "\n") != 25 {
			t.Errorf("the plan is told as %q", text)
		}
		if a, b := orderOf(7, n, 1), orderOf(7, n, 1); a.total != b.total || string(a.job.Requests[0].Body) != string(b.job.Requests[0].Body) {
			t.Errorf("job 1 of round %d differs from itself", n)
		}
	}
}

// Between them, the rounds of a run hold every kind of fault.
func TestPlanHasEveryKind(t *testing.T) {
	have := map[Kind]bool{}
	for n := range 4 {
		_, steps := Plan(1, n, 18)
		for _, s := range steps {
			have[s.Kind] = true
		}
	}
	for _, k := range kinds() {
		if !have[k] {
			t.Errorf("no %s in the first four rounds", k)
		}
	}
}
