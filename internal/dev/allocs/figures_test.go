package main

import (
	"strings"
	"testing"
)

const printed = `goos: linux
pkg: pelton/jobs
cpu: some
BenchmarkFeed-2              	    2000	     27815 ns/op	    9867 B/op	      91 allocs/op
BenchmarkFeed-2              	    2000	     15519 ns/op	    9915 B/op	      90 allocs/op
BenchmarkCollect-2           	    2000	     13979 ns/op	     71542 results/s	    4326 B/op	      59 allocs/op
BenchmarkJob/in-flight-64-2  	    2000	     13979 ns/op	    4326 B/op	      300 allocs/op
ok  	pelton/jobs	1.393s
`

func TestRead(t *testing.T) {
	got := figures{}
	if err := got.read([]byte(printed)); err != nil {
		t.Fatal(err)
	}
	const want = `pelton/jobs BenchmarkCollect 59
pelton/jobs BenchmarkFeed 90
pelton/jobs BenchmarkJob/in-flight-64 300
`
	_, text, _ := strings.Cut(string(got.text()), "\n")
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	back := figures{}
	if err := back.parse(got.text()); err != nil || len(back) != 3 || back["pelton/jobs BenchmarkFeed"] != 90 {
		t.Errorf("%v, %v", back, err)
	}
	if err := got.read([]byte("FAIL\n")); err == nil {
		t.Error("no benchmarks at all is no error")
	}
	if err := back.parse([]byte("nonsense\n")); err == nil {
		t.Error("a line that is none is read")
	}
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		got, want figures
		says      string
		fails     bool
	}{
		"the same":      {figures{"a": 100}, figures{"a": 100}, "as before", false},
		"by chance":     {figures{"a": 105}, figures{"a": 100}, "as before", false},
		"more":          {figures{"a": 106}, figures{"a": 100}, "MORE", true},
		"few by chance": {figures{"a": 3}, figures{"a": 2}, "as before", false},
		"few more":      {figures{"a": 4}, figures{"a": 2}, "MORE", true},
		"less":          {figures{"a": 50}, figures{"a": 100}, "less", false},
		"gone":          {figures{}, figures{"a": 100}, "NOT MEASURED", true},
		"new":           {figures{"a": 100}, figures{}, "NOT IN THE FILE", true},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := compare(c.got, c.want)
			if !strings.Contains(report, c.says) || (err != nil) != c.fails {
				t.Errorf("%s%v", report, err)
			}
		})
	}
}
