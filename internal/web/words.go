package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"pelton/schema"
)

// functions are what the templates call. The words are those of the command line.
func (p *Page) functions() template.FuncMap {
	return template.FuncMap{
		"asset":   func(name string) string { return "/static/" + name + "?v=" + p.files[name].version },
		"phase":   phaseText,
		"counts":  countsText,
		"left":    leftText,
		"ago":     agoText,
		"until":   func(t, now time.Time) string { return t.Sub(now).Round(time.Second).String() },
		"stamp":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ms":      msText,
		"percent": func(part float64) string { return strconv.FormatFloat(100*part, 'f', 1, 64) + " %" },
		"rate":    func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) + "/s" },
		"money":   func(f *float64) string { return "$" + strconv.FormatFloat(*f, 'f', -1, 64) },
		"num":     groupDigits,
		"took":    tookText,
		"short":   func(n int, s string) string { return clip(s, n) },
		"queues":  queuesText,
		"inc":     func(n int) int { return n + 1 },
		"errorOf": errorText,
		"search":  func(home, name, value string) string { return link(home, nil, name, value) },
	}
}

// phaseText is a state as people say it.
func phaseText(p any) string { return strings.ReplaceAll(fmt.Sprint(p), "_", " ") }

// countsText lists the outcomes that there are: "9 succeeded, 1 failed".
func countsText(c schema.Counts) string {
	parts := []string{groupDigits(c.Succeeded) + " succeeded"}
	for _, p := range []struct {
		n    int
		what string
	}{{c.Failed, "failed"}, {c.Cancelled, "cancelled"}, {c.Expired, "expired"}, {c.NotStarted, "not started"}} {
		if p.n > 0 {
			parts = append(parts, groupDigits(p.n)+" "+p.what)
		}
	}
	return strings.Join(parts, ", ")
}

func leftText(seconds *float64) string {
	if seconds == nil {
		return ""
	}
	return (time.Duration(*seconds) * time.Second).String() + " left"
}

// agoText is how long ago t was, in one unit.
func agoText(t, now time.Time) string {
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

func msText(ms float64) string {
	switch {
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 10_000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
}

func tookText(from, to *time.Time) string {
	if from == nil || to == nil {
		return ""
	}
	return to.Sub(*from).Round(time.Millisecond).String()
}

// groupDigits writes 1000000 as 1,000,000.
func groupDigits(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

func queuesText(caps map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(caps)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, caps[name]))
	}
	return strings.Join(parts, ", ")
}

// errorText is an error in a line: its code, or its class, and its message.
func errorText(e *schema.Error) string {
	if e == nil {
		return ""
	}
	code := e.Code
	if code == "" {
		code = string(e.Class)
	}
	if e.Message == "" {
		return code
	}
	return code + ": " + e.Message
}

// mostShown bounds what is shown of a body; the download has all of it.
const mostShown = 64 << 10

// indented is JSON as people read it, cut where it is long.
func indented(body json.RawMessage) string {
	if len(body) == 0 {
		return ""
	}
	text := string(body[:min(len(body), mostShown)])
	var out bytes.Buffer
	if len(body) <= mostShown && json.Indent(&out, body, "", "  ") == nil {
		text = out.String()
	}
	if len(body) > mostShown {
		text = strings.ToValidUTF8(text, "") + fmt.Sprintf("\n… and %s bytes more: they are in the results", groupDigits(len(body)-mostShown))
	}
	return text
}
