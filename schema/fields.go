package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fault is what is wrong with one value; the zero value is nothing.
type fault struct{ code, message string }

func faulty(code, format string, args ...any) fault {
	return fault{code, fmt.Sprintf(format, args...)}
}

// kind names the JSON type of a raw value, for people.
func kind(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return short(raw)
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

func short(raw []byte) string { return clip(string(raw)) }

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:61], "") + "…"
}

func readString(raw []byte) (string, fault) {
	if raw[0] == '"' && plain(raw[1:len(raw)-1]) {
		return string(raw[1 : len(raw)-1]), fault{}
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", faulty(ProblemType, "must be a string, not %s", kind(raw))
	}
	return s, fault{}
}

func readBool(raw []byte) (bool, fault) {
	if raw[0] != 't' && raw[0] != 'f' {
		return false, faulty(ProblemType, "must be true or false, not %s", kind(raw))
	}
	return raw[0] == 't', fault{}
}

// readInt reads an integer of from to to; 8.0 and 8e0 are integers too.
func readInt(raw []byte, from, to int) (int, fault) {
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, faulty(ProblemType, "must be an integer from %d to %d, not %s", from, to, kind(raw))
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || f < float64(from) || f > float64(to) {
		return 0, faulty(ProblemValue, "must be an integer from %d to %d, not %s", from, to, short(raw))
	}
	return int(f), fault{}
}

// durationForm is the part of Go's duration syntax that messages use; the JSON
// Schema has the same pattern. Fractions end where nanoseconds do.
var durationForm = regexp.MustCompile(`^([0-9]{1,9}(\.[0-9]{1,9})?[hms]|[0-9]{1,9}(\.[0-9]{1,6})?ms|[0-9]{1,9}(\.[0-9]{1,3})?(us|µs|μs)|[0-9]{1,9}ns)+$`)

func readDuration(raw []byte) (time.Duration, fault) {
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return 0, faulty(ProblemType, `must be a duration with its unit, as a string: write "30s" for thirty seconds, not %s`, short(raw))
	}
	s, bad := readString(raw)
	if bad.code != "" {
		return 0, faulty(ProblemType, `must be a duration as a string like "30s" or "10m", not %s`, kind(raw))
	}
	return parseDuration(s)
}

func parseDuration(s string) (time.Duration, fault) {
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && d <= 0:
		return 0, faulty(ProblemValue, "must be above zero, not %q", clip(s))
	case err == nil && durationForm.MatchString(s):
		return d, fault{}
	}
	return 0, faulty(ProblemValue, `must be a duration like "30s", "10m" or "1h30m", not %q`, clip(s))
}

// timeForm is RFC 3339 more strictly than [time.Parse] reads it. Year 0001 is
// out, as its first moment is Go's "no time".
var timeForm = regexp.MustCompile(`^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$`)

func readDeadline(raw []byte) (Deadline, fault) {
	if raw[0] != '"' {
		_, bad := readDuration(raw)
		return Deadline{}, bad
	}
	s, _ := readString(raw)
	if strings.Contains(s, "-") && strings.Contains(s, ":") {
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil && timeForm.MatchString(s) {
			return Deadline{At: at}, fault{}
		}
		return Deadline{}, faulty(ProblemValue, `must be a duration like "24h" or an RFC 3339 time like "2030-01-31T18:00:00Z", not %q`, clip(s))
	}
	after, bad := parseDuration(s)
	if bad.code != "" && !strings.HasPrefix(bad.message, "must be above") {
		bad.message = fmt.Sprintf(`must be a duration like "24h" or an RFC 3339 time like "2030-01-31T18:00:00Z", not %q`, clip(s))
	}
	return Deadline{After: after}, bad
}

func readObject(raw []byte) (json.RawMessage, fault) {
	if raw[0] != '{' {
		return nil, faulty(ProblemType, "must be an object, not %s", kind(raw))
	}
	return raw, fault{}
}

// checkText is for names: not empty, not longer than so many characters.
func checkText(s string, longest int) fault {
	if s == "" {
		return faulty(ProblemValue, "must not be empty; leave it out instead")
	}
	if len(s) > longest && utf8.RuneCountInString(s) > longest {
		return faulty(ProblemTooLarge, "must not be longer than %d characters", longest)
	}
	return fault{}
}

var endpoints = [...]Endpoint{ChatCompletions, Responses, Completions, Embeddings, Moderations}

// readEndpoint does not allocate for one that exists.
func readEndpoint(raw []byte) (Endpoint, fault) {
	for _, known := range endpoints {
		if len(raw) == len(known)+2 && string(raw[1:len(raw)-1]) == string(known) {
			return known, fault{}
		}
	}
	text, bad := readString(raw)
	url := KnownEndpoint(text)
	if bad.code == "" {
		bad = checkEndpoint(url)
	}
	return url, bad
}

// KnownEndpoint is the endpoint that a batch line or a batch names: as OpenAI writes
// it, or as Azure does, without the /v1 before it. Anything else is returned as it
// is, and is none.
func KnownEndpoint(url string) Endpoint {
	if full := Endpoint("/v1" + url); slices.Contains(endpoints[:], full) {
		return full
	}
	return Endpoint(url)
}

func checkEndpoint(url Endpoint) fault {
	if slices.Contains(endpoints[:], url) {
		return fault{}
	}
	hint := ""
	for _, known := range endpoints {
		if strings.HasSuffix(strings.TrimRight(string(url), "/"), strings.TrimPrefix(string(known), "/v1")) {
			hint = fmt.Sprintf("; write %q: the path alone, with /v1", known)
			break // the first in the list is the longest
		}
	}
	return faulty(ProblemValue, "must be one of /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, /v1/moderations, not %q%s", clip(string(url)), hint)
}
