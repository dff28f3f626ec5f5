package owner

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pelton/jobs/store"
	"pelton/schema"
)

// counted are the results of a job of ten requests: S succeeded, F failed, C was
// cancelled, E expired.
func counted(w *window, statuses string, costs ...float64) *tally {
	t := &tally{first: -1}
	for index, letter := range statuses {
		out := store.ResultMeta{Index: index, Status: map[rune]schema.Status{
			'S': schema.StatusSucceeded, 'F': schema.StatusFailed, 'C': schema.StatusCancelled, 'E': schema.StatusExpired,
		}[letter]}
		if index < len(costs) {
			out.Cost = &costs[index]
		}
		w.done(index)
		t.add(out)
	}
	return t
}

// letters are the models of a job's requests; a space is one that is not valid.
func letters(of string) models {
	return func(index int) (string, bool, error) { return of[index : index+1], of[index] != ' ', nil }
}

func TestPolicy(t *testing.T) {
	fails := func(n int) schema.Job { return schema.Job{FailFast: schema.FailFast{Failures: n}} }
	rate := func(r float64, after int) schema.Job {
		return schema.Job{FailFast: schema.FailFast{Rate: r, After: after}}
	}
	for name, c := range map[string]struct {
		job      schema.Job
		statuses string
		costs    []float64
		died     []string
		models   string
		want     string // the reason's code; empty: the job goes on
		abort    bool
	}{
		"no policy":                {schema.Job{}, "FFF", nil, nil, "", "", false},
		"too few failures":         {fails(2), "SF", nil, nil, "", "", false},
		"enough failures":          {fails(2), "FSF", nil, nil, "", schema.ReasonFailFast, true},
		"an aborted one is none":   {fails(1), "SC", nil, nil, "", "", false},
		"a rate that does not yet": {rate(0.5, 4), "FFF", nil, nil, "", "", false},
		"a rate that counts":       {rate(0.5, 4), "FSFS", nil, nil, "", schema.ReasonFailFast, true},
		"a rate without a failure": {rate(0.001, 0), "SS", nil, nil, "", "", false},
		"below the cost":           {schema.Job{MaxCost: 2}, "SS", []float64{1, 0.9}, nil, "", "", false},
		"at the cost":              {schema.Job{MaxCost: 2}, "SS", []float64{1, 1}, nil, "", schema.ReasonMaxCost, false},
		"no cost is known":         {schema.Job{MaxCost: 2}, "SS", nil, nil, "", "", false},
		"every result is there":    {fails(1), "FFFFFFFFFF", nil, nil, "", "", false},
		"one model of two is dead": {schema.Job{}, "F", nil, []string{"a"}, "aaaabaaaaa", "", false},
		"the only model is dead":   {schema.Job{}, "F", nil, []string{"a"}, "aaaaaaaaaa", schema.ReasonNoDeployment, false},
		"both are dead":            {schema.Job{}, "FF", nil, []string{"a", "b"}, "abababaaaa", schema.ReasonNoDeployment, false},
		"the invalid do not count": {schema.Job{}, "F", nil, []string{"a"}, "aa   aaaaa", schema.ReasonNoDeployment, false},
		"a dead model comes first": {fails(1), "F", nil, []string{"a"}, "aaaaaaaaaa", schema.ReasonNoDeployment, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := newWindow(10), newPolicy(&c.job)
			why, err := p.after(counted(&w, c.statuses, c.costs...), &w, c.died, letters(c.models))
			code, abort := "", false
			if why != nil {
				code, abort = why.reason.Code, why.abort
			}
			if err != nil || code != c.want || abort != c.abort {
				t.Errorf("%+v, %v", why, err)
			}
		})
	}
}

// A model that is dead is asked about once; what is out when it dies does not hold
// the job's end up.
func TestPolicyScansTheInputOnce(t *testing.T) {
	asked := 0
	at := func(index int) (string, bool, error) {
		asked++
		return letters("aaabbbabab")(index)
	}
	w, p := newWindow(10), newPolicy(&schema.Job{})
	tally := counted(&w, "F")
	for _, died := range []string{"a", "a", "b", "b"} {
		why, err := p.after(tally, &w, []string{died}, at)
		if err != nil || (why != nil) != (died == "b" && asked == 10) {
			t.Fatalf("%+v, %v after %d looks", why, err, asked)
		}
		if why != nil {
			break
		}
	}
	if asked != 10 { // 9 that are to be fed, and the one at which the first scan stopped
		t.Errorf("%d looks", asked)
	}
	unreadable := errors.New("unreadable")
	p = newPolicy(&schema.Job{})
	if _, err := p.after(tally, &w, []string{"a"}, func(int) (string, bool, error) { return "", false, unreadable }); !errors.Is(err, unreadable) {
		t.Errorf("%v", err)
	}
}

// Fail-fast ends a job at the first result after which its rule holds, not before
// and not later.
func TestPolicyFailsFast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := schema.FailFast{
			Failures: rapid.IntRange(0, 5).Draw(t, "failures"),
			Rate:     rapid.SampledFrom([]float64{0, 0.25, 0.5, 1}).Draw(t, "rate"),
			After:    rapid.IntRange(0, 8).Draw(t, "after"),
		}
		statuses := rapid.StringOfN(rapid.SampledFrom([]rune("SFCE")), 1, 30, -1).Draw(t, "statuses")
		p, w, x := newPolicy(&schema.Job{FailFast: rule}), newWindow(len(statuses)+1), &tally{first: -1}
		failed := 0
		for index, letter := range statuses {
			w.done(index)
			x.add(store.ResultMeta{Index: index, Status: map[rune]schema.Status{
				'S': schema.StatusSucceeded, 'F': schema.StatusFailed, 'C': schema.StatusCancelled, 'E': schema.StatusExpired,
			}[letter]})
			if letter == 'F' {
				failed++
			}
			n := index + 1
			due := failed > 0 && (rule.Failures > 0 && failed >= rule.Failures ||
				rule.Rate > 0 && n >= rule.After && float64(failed)/float64(n) >= rule.Rate)
			why, err := p.after(x, &w, nil, nil)
			if err != nil || (why != nil) != due {
				t.Fatalf("after %s: %+v, %v", statuses[:n], why, err)
			}
			if why != nil && *why.reason.Index != strings.IndexByte(statuses, 'F') {
				t.Fatalf("the first failure is %d", *why.reason.Index)
			}
		}
	})
}

func TestVerdict(t *testing.T) {
	cancelled := cancelledBy(schema.Cancel{})
	late := expired(at(0))
	for _, c := range []struct {
		statuses string
		total    int
		why      *ending
		want     schema.Phase
		code     string
	}{
		{"", 0, nil, schema.Succeeded, ""},
		{"SS", 2, nil, schema.Succeeded, ""},
		{"SS", 2, &cancelled, schema.Succeeded, ""},
		{"FF", 2, nil, schema.Failed, schema.ReasonAllFailed},
		{"SF", 2, &late, schema.CompletedWithErrors, ""},
		{"SC", 2, nil, schema.Cancelled, schema.ReasonCancelled},
		{"SE", 2, nil, schema.Expired, schema.ReasonDeadline},
		{"SE", 2, &cancelled, schema.Cancelled, schema.ReasonCancelled},
		{"S", 2, &late, schema.Expired, schema.ReasonDeadline},
		{"F", 2, &ending{reason: schema.Reason{Code: schema.ReasonFailFast}}, schema.Failed, schema.ReasonFailFast},
	} {
		w := newWindow(c.total)
		state, reason := verdict(counted(&w, c.statuses), c.total, c.why)
		code := ""
		if reason != nil {
			code = reason.Code
		}
		if state != c.want || code != c.code {
			t.Errorf("%q of %d, %+v: %s, %+v", c.statuses, c.total, c.why, state, reason)
		}
	}
}

func TestDeadlineAtHand(t *testing.T) {
	for _, c := range []struct {
		has, left time.Duration
		want      bool
	}{
		{24 * time.Hour, time.Hour, false}, {24 * time.Hour, 59 * time.Second, true}, {24 * time.Hour, -time.Second, true},
		{time.Minute, 30 * time.Second, false}, {time.Minute, 5 * time.Second, true},
	} {
		deadline := at(0).Add(c.has)
		if got := deadlineAtHand(at(0), deadline, deadline.Add(-c.left), time.Minute); got != c.want {
			t.Errorf("%v of %v are left: %t", c.left, c.has, got)
		}
	}
}
