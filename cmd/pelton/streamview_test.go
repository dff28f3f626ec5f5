package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pelton/jobs"
	"pelton/schema"
)

func TestStreamView(t *testing.T) {
	var out strings.Builder
	v := &streamView{out: &out, original: func(i int) int { return i + 10 }, lines: map[int]string{}}
	say := func(index int, text string) *jobs.Delta {
		content, _ := json.Marshal(text)
		return &jobs.Delta{Index: index, Attempt: 1, Data: json.RawMessage(fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%s}}]}`, content))}
	}
	for _, d := range []*jobs.Delta{
		say(0, "one "), say(1, "eins "), say(0, "two\nthr"), say(1, "zwei"), say(0, "ee"),
		{Index: 1, Status: schema.StatusSucceeded},
		{Index: 0, Again: true, Data: say(0, "once more").Data},
		{Index: 0, Missed: 3, Data: say(0, "\x1b[31mred\u202e").Data},
		{Index: 0, Status: schema.StatusFailed},
		say(2, strings.Repeat("ä", 60)+" "+strings.Repeat("ö", 60)),
		{Index: 2, Status: schema.StatusSucceeded},
		{Index: -1, Missed: 7},
	} {
		v.take(d)
	}
	want := "#10  one two\n#11  eins zwei\n#10  (begins again)\n#10  once more\n#10  (…)\n#10  [31mred\n#10  (failed)\n" +
		"#12  " + strings.Repeat("ä", 60) + "\n#12  " + strings.Repeat("ö", 60) + "\n" +
		"7 pieces came too fast to be shown; the results have them\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if len(v.lines) != 0 {
		t.Errorf("%d lines are kept", len(v.lines))
	}
}

func TestAsStreams(t *testing.T) {
	for given, want := range map[string]string{"": `{"stream":true}`, `{"n":1}`: `{"n":1,"stream":true}`, `{"stream":false}`: `{"stream":false}`} {
		job := schema.Job{}
		if given != "" {
			job.Defaults = json.RawMessage(given)
		}
		if err := asStreams(&job); err != nil || string(job.Defaults) != want {
			t.Errorf("%s became %s, %v", given, job.Defaults, err)
		}
	}
}
