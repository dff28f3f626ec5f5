package router

import (
	"bytes"
	"encoding/json"
	"html"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pelton/internal/rawjson"
)

// fault is an error as an upstream describes it.
type fault struct {
	code, kind, message, param string
	names                      []string // every code, type and status it goes by, in lower case
	status                     int      // an HTTP status inside the body; 0: none
	after                      time.Duration
}

func (f fault) named(codes map[string]bool) bool {
	for _, name := range f.names {
		if codes[name] {
			return true
		}
	}
	return false
}

func (f fault) says(phrases []string) bool {
	message := strings.ToLower(f.message)
	for _, phrase := range phrases {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// maxNested bounds how deep an error may hide in another.
const maxNested = 4

func (f *fault) read(raw []byte) { f.readAt(raw, 0) }

// readAt reads one error value of any known shape into f; what f has stays.
func (f *fault) readAt(raw []byte, depth int) {
	raw = bytes.TrimSpace(raw)
	if depth > maxNested || !present(raw) {
		return
	}
	if raw[0] == '[' { // FastAPI's list of what is wrong, or an array around one error
		var all []json.RawMessage
		_ = json.Unmarshal(raw, &all)
		var said []string
		for _, one := range all[:min(len(all), 20)] {
			var inner fault
			inner.readAt(one, depth+1)
			f.take(inner)
			if text := inner.message; text != "" {
				if inner.param != "" {
					text = inner.param + ": " + text
				}
				said = append(said, text)
			}
		}
		f.message = strings.Join(said, "; ")
		return
	}
	if raw[0] != '{' {
		f.message = first(f.message, scalar(raw))
		return
	}
	var e struct {
		Message, Msg, Error, Detail, Errors, Code, Type, Param, Status, Loc json.RawMessage
		InnerError                                                          struct{ Code json.RawMessage }
		Details                                                             []struct {
			RetryDelay string
			Reason     string
		}
		Metadata struct{ Raw json.RawMessage }
	}
	_ = json.Unmarshal(raw, &e) // a field of another type is left out
	code, status := scalar(e.Code), scalar(e.Status)
	if isNumber(code) && status != "" && !isNumber(status) {
		code = status // Gemini: {"code":429,"status":"RESOURCE_EXHAUSTED"}
	}
	f.take(fault{
		code: code, kind: scalar(e.Type), param: first(scalar(e.Param), path(e.Loc)),
		message: first(scalar(e.Message), scalar(e.Msg)),
	})
	f.name(scalar(e.Code), scalar(e.Type), status, scalar(e.InnerError.Code))
	for _, d := range e.Details {
		f.name(d.Reason)
		if delay, err := time.ParseDuration(d.RetryDelay); err == nil && delay > 0 {
			f.after = min(delay, maxRetryAfter)
		}
	}
	for _, text := range []string{status, scalar(e.Code)} { // the code counts where both are one
		if n, err := strconv.Atoi(text); err == nil && n >= 400 && n < 600 {
			f.status = n
		}
	}
	for _, nested := range []json.RawMessage{e.Message, e.Error, e.Detail, e.Errors} {
		if n := bytes.TrimSpace(nested); present(n) && (n[0] == '{' || n[0] == '[' || f.message == "") {
			var inner fault
			inner.readAt(n, depth+1)
			f.take(inner)
		}
	}
	// OpenRouter's own message is "Provider returned error"; the provider's is here.
	if text := scalar(e.Metadata.Raw); text != "" {
		var inner fault
		if json.Valid([]byte(text)) {
			inner.readAt([]byte(text), depth+1)
		}
		inner.message = first(inner.message, text)
		f.name(inner.names...)
		f.message = strings.TrimPrefix(f.message+": "+inner.message, ": ")
	}
}

// take fills what f lacks from o.
func (f *fault) take(o fault) {
	f.code, f.kind = first(f.code, o.code), first(f.kind, o.kind)
	f.message, f.param = first(f.message, o.message), first(f.param, o.param)
	f.names = append(f.names, o.names...)
	if f.status == 0 {
		f.status = o.status
	}
	f.after = max(f.after, o.after)
}

func (f *fault) name(names ...string) {
	for _, name := range names {
		if name != "" {
			f.names = append(f.names, strings.ToLower(name))
		}
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// scalar returns a JSON string's text or a number as it is written, else "".
func scalar(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		return rawjson.Text(raw)
	case c == '-' || c >= '0' && c <= '9':
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1e15 {
			return strconv.FormatInt(int64(f), 10)
		}
		return string(raw)
	}
	return ""
}

func isNumber(text string) bool {
	_, err := strconv.Atoi(text)
	return err == nil
}

// path joins FastAPI's location of a fault: ["body","messages",0].
func path(raw []byte) string {
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var names []string
	for _, part := range parts {
		names = append(names, scalar(part))
	}
	return strings.Join(names, ".")
}

var (
	titleTag = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	anyTag   = regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>|<[^>]*>`)
)

// plain makes one line of an answer that is no JSON: a page's title, or its text.
func plain(raw []byte) string {
	raw = raw[:min(len(raw), 16<<10)]
	text := string(raw)
	if m := titleTag.FindStringSubmatch(text); m != nil {
		text = m[1]
	} else if strings.HasPrefix(strings.TrimSpace(text), "<") {
		text = anyTag.ReplaceAllString(text, " ")
	}
	return bound(strings.Join(strings.Fields(html.UnescapeString(text)), " "), maxMessage)
}
