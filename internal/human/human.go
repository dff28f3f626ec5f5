// Package human writes values as people read them.
package human

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"pelton/schema"
)

// Counts lists the outcomes that there are, each number written by digits: "9
// succeeded, 1 failed".
func Counts(c schema.Counts, digits func(int) string) string {
	parts := []string{digits(c.Succeeded) + " succeeded"}
	for _, p := range []struct {
		n    int
		what string
	}{{c.Failed, "failed"}, {c.Cancelled, "cancelled"}, {c.Expired, "expired"}, {c.NotStarted, "not started"}} {
		if p.n > 0 {
			parts = append(parts, digits(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

// Isolated says how many requests are isolated, and why; n is not 0.
func Isolated(n int) string {
	return Digits(n) + " of the requests, which were in flight each time that a worker was not heard of again: they are begun in trials; the others go on"
}

// Ago is how long before now t was, in one unit: "5s", "3m", "47h", "2d". What is
// to come was 0s ago.
func Ago(t, now time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// Digits writes 1000000 as 1,000,000.
func Digits(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Clip cuts s to width characters, the last of them "…"; 0 means no bound.
func Clip(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// AtLeast is text, behind "at least" where least says that it is not exact.
func AtLeast(least bool, text string) string {
	if least {
		return "at least " + text
	}
	return text
}

// Missing says what a bill does not hold, each number written by digits: "2 calls of
// unknown usage, 1 call of unknown price". Empty: nothing is missing, or only prices
// where none is known.
func Missing(b schema.Bill, digits func(int) string) string {
	var parts []string
	count := func(n int, what string) {
		switch {
		case n == 1:
			parts = append(parts, "1 call of unknown "+what)
		case n > 1:
			parts = append(parts, digits(n)+" calls of unknown "+what)
		}
	}
	count(b.UnknownAttempts, "usage")
	if b.Cost != nil {
		count(b.UnpricedAttempts, "price")
	}
	return strings.Join(parts, ", ")
}

// Money writes an amount of USD: $0.0123, $12.35.
func Money(usd float64) string {
	if usd < 1 {
		return fmt.Sprintf("$%.4f", usd)
	}
	return fmt.Sprintf("$%.2f", usd)
}
