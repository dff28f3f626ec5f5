package main

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// figures are allocations per operation, by "package Benchmark".
type figures map[string]float64

var (
	pkgLine   = regexp.MustCompile(`^pkg: (\S+)$`)
	benchLine = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s+\d+\s.*\s(\d+) allocs/op`)
)

// read takes in what go test prints; of a benchmark that ran several times the
// least counts.
func (f figures) read(out []byte) error {
	pkg, n := "", 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if m := pkgLine.FindStringSubmatch(lines.Text()); m != nil {
			pkg = m[1]
		}
		m := benchLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		n++
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return err
		}
		name := pkg + " " + m[1]
		if least, ok := f[name]; !ok || value < least {
			f[name] = value
		}
	}
	if n == 0 {
		return fmt.Errorf("no benchmarks in\n%s", out)
	}
	return lines.Err()
}

// text is the file.
func (f figures) text() []byte {
	var b bytes.Buffer
	b.WriteString("# Allocations per operation; `make bench-allocs` compares, UPDATE=1 writes this file.\n")
	for _, name := range slices.Sorted(maps.Keys(f)) {
		fmt.Fprintf(&b, "%s %.0f\n", name, f[name])
	}
	return b.Bytes()
}

func (f figures) parse(text []byte) error {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, " ")
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil || at < 0 {
			return fmt.Errorf("%q is no \"package Benchmark allocations\"", line)
		}
		f[line[:at]] = value
	}
	return nil
}

// tolerance is what chance may add: batches that fall together differently,
// a buffer that grows once more.
func tolerance(want float64) float64 { return math.Max(1, math.Ceil(0.05*want)) }

// compare returns a table, and an error when something has become worse, or is
// not measured any more.
func compare(got, want figures) (report string, err error) {
	var b strings.Builder
	worse, names := 0, map[string]bool{}
	for _, list := range []figures{got, want} {
		for name := range list {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		g, measured := got[name]
		w, known := want[name]
		word := "as before"
		switch {
		case !measured:
			word = "NOT MEASURED"
			worse++
		case !known:
			word = "NOT IN THE FILE"
			worse++
		case g > w+tolerance(w):
			word = "MORE"
			worse++
		case g < w-tolerance(w):
			word = "less: the file can be updated"
		}
		fmt.Fprintf(&b, "%-60s %6.0f, was %6.0f  %s\n", name, g, w, word)
	}
	if worse > 0 {
		return b.String(), fmt.Errorf("%d benchmarks are not as they were", worse)
	}
	return b.String(), nil
}
