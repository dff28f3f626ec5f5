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

	"pelton/internal/human"
	"pelton/schema"
)

// functions are what the templates call. The words are those of the command line.
func (p *Page) functions() template.FuncMap {
	return template.FuncMap{
		"asset":    func(name string) string { return "/static/" + name + "?v=" + p.files[name].version },
		"phase":    phaseText,
		"isolated": human.Isolated,
		"counts":   func(c schema.Counts) string { return human.Counts(c, human.Digits) },
		"left":     leftText,
		"ago":      human.Ago,
		"until":    func(t, now time.Time) string { return t.Sub(now).Round(time.Second).String() },
		"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ms":       msText,
		"percent":  func(part float64) string { return strconv.FormatFloat(100*part, 'f', 1, 64) + " %" },
		"rate":     func(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) + "/s" },
		"money":    func(f *float64) string { return "$" + strconv.FormatFloat(*f, 'f', -1, 64) },
		"least":    human.AtLeast,
		"missing":  func(b schema.Bill) string { return human.Missing(b, human.Digits) },
		"num":      human.Digits,
		"took":     tookText,
		"short":    func(n int, s string) string { return human.Clip(s, n) },
		"queues":   queuesText,
		"inc":      func(n int) int { return n + 1 },
		"errorOf":  errorText,
		"search":   func(home, name, value string) string { return link(home, nil, name, value) },
	}
}

// phaseText is a state as people say it.
func phaseText(p any) string { return strings.ReplaceAll(fmt.Sprint(p), "_", " ") }

func leftText(seconds *float64) string {
	if seconds == nil {
		return ""
	}
	return (time.Duration(*seconds) * time.Second).String() + " left"
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
		text = strings.ToValidUTF8(text, "") + fmt.Sprintf("\n… and %s bytes more: they are in the results", human.Digits(len(body)-mostShown))
	}
	return text
}
