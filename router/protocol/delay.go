package protocol

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pelton/router/internal/lazyregexp"
)

// MaxRetryAfter bounds a server's word on when to come back.
const MaxRetryAfter = 24 * time.Hour

// Delay reads when to come back, in any form that servers give it: seconds to go or a
// Unix time in seconds or milliseconds, as Go or ISO 8601 write a duration, in words
// ("4 seconds"), a moment as HTTP or ISO 8601 write it, and lists of these, of which
// the longest counts. ok is false for anything else; a moment that has passed is 0.
func Delay(text string, now time.Time) (d time.Duration, ok bool) {
	text = strings.Trim(strings.TrimSpace(text), `"'`)
	if n, is := number(text); is {
		return fromNumber(n, now), true
	}
	for _, read := range []func(string, time.Time) (time.Duration, bool){moment, goDuration, isoDuration, inWords} {
		if d, ok := read(text, now); ok {
			return min(max(d, 0), MaxRetryAfter), true
		}
	}
	if strings.Contains(text, ",") {
		for part := range strings.SplitSeq(text, ",") {
			if one, is := Delay(part, now); is {
				d, ok = max(d, one), true
			}
		}
	}
	return d, ok
}

func number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return f, err == nil && !math.IsNaN(f)
}

// fromNumber reads seconds to go, or a Unix time in seconds or milliseconds.
func fromNumber(n float64, now time.Time) time.Duration {
	if n > 1e9 && !math.IsInf(n, 0) {
		if n > 1e12 {
			n /= 1000
		}
		n -= float64(now.UnixNano()) / 1e9
	}
	return scaled(n, time.Second)
}

func scaled(n float64, unit time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(MaxRetryAfter)))
}

func moment(text string, now time.Time) (time.Duration, bool) {
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(now), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.Sub(now), true
		}
	}
	return 0, false
}

func goDuration(text string, _ time.Time) (time.Duration, bool) {
	d, err := time.ParseDuration(text)
	return d, err == nil
}

var isoForm = lazyregexp.New(`(?i)^P(?:([\d.]+)W)?(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?$`)

func isoDuration(text string, _ time.Time) (d time.Duration, ok bool) {
	m := isoForm.Get().FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if n, is := number(m[i+1]); is {
			d, ok = d+scaled(n, unit), true
		}
	}
	return d, ok
}

const amountForm = `\d+(?:\.\d+)?\s*(?:milliseconds?|millis|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)`

var (
	oneAmount = lazyregexp.New(`(?i)^(\d+(?:\.\d+)?)\s*([a-z]+)(?:[\s,]*(?:and\s+)?)`)

	units = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

	// askedWait finds what a message asks for: "Please try again in 1m26.4s".
	askedWait = lazyregexp.New(`(?i)\b(?:(?:try(?:ing)? again|retry(?:ing)?|available|come back|resets?|again)\s+(?:in|after|at|on)|wait(?:ing)?(?:\s+for)?|reset after)` +
		`(?:\s+(?:about|approximately|at least|another))?[\s:]+` +
		`(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?|(?:` + amountForm + `[\s,]*(?:and\s+)?)+)`)
)

// inWords reads amounts with their units, the larger ones first: "4 seconds", "1 hour
// and 5 minutes", "1d2h".
func inWords(text string, _ time.Time) (d time.Duration, ok bool) {
	last := time.Duration(math.MaxInt64)
	for text = strings.TrimSpace(text); text != ""; {
		m := oneAmount.Get().FindStringSubmatch(text)
		if m == nil {
			return 0, false
		}
		name := strings.ToLower(m[2])
		unit, known := units[name]
		if !known {
			switch {
			case strings.HasPrefix(name, "mil"), strings.HasPrefix(name, "ms"):
				unit = time.Millisecond
			case strings.HasPrefix(name, "sec"):
				unit = time.Second
			case strings.HasPrefix(name, "min"):
				unit = time.Minute
			case strings.HasPrefix(name, "hour"), strings.HasPrefix(name, "hr"):
				unit = time.Hour
			case strings.HasPrefix(name, "day"):
				unit = 24 * time.Hour
			default:
				return 0, false
			}
		}
		if unit >= last { // a list of several
			return 0, false
		}
		last = unit
		n, _ := number(m[1])
		d, ok, text = d+scaled(n, unit), true, text[len(m[0]):]
	}
	return d, ok
}

// Asked returns how long a message asks to wait; 0: it does not.
func Asked(message string, now time.Time) time.Duration {
	m := askedWait.Get().FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	d, _ := Delay(strings.TrimRight(m[1], " ,\n"), now)
	return d
}

// behind is what LiteLLM's proxy puts in front of the names of its upstream's headers.
const behind = "Llm_provider-"

// repeated are the names that a proxy repeats, by those behind it.
var repeated = func() map[string]string {
	names := map[string]string{}
	add := func(name string) { names[name] = http.CanonicalHeaderKey(behind + name) }
	for _, name := range []string{"Retry-After", "Retry-After-Ms", "Ratelimit"} {
		add(name)
	}
	for _, name := range limitHeaders {
		add(name.remaining)
		add(name.reset)
	}
	return names
}()

// values are a header's, or else those that a proxy repeats.
func values(h http.Header, name string) []string {
	if v := h[name]; len(v) > 0 {
		return v
	}
	return h[repeated[name]]
}

// limits reports whether any header may be one of a limit: most answers have none.
func limits(h http.Header) bool {
	for name := range h {
		if strings.Contains(name, "imit") {
			return true
		}
	}
	return false
}

// longest is the longest of a header's delays; 0 where it has none.
func longest(h http.Header, name string, now time.Time) (d time.Duration) {
	for _, value := range values(h, name) {
		if one, is := Delay(value, now); is {
			d = max(d, one)
		}
	}
	return d
}

// RetryAfter returns how long the headers ask to wait: retry-after-ms, else
// Retry-After in any form that [Delay] reads. 0 means that they do not say, or nothing
// that makes sense.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	for _, value := range values(h, "Retry-After-Ms") {
		if ms, ok := number(value); ok {
			return scaled(ms, time.Millisecond)
		}
	}
	return longest(h, "Retry-After", now)
}

// limitHeaders are the names that upstreams give to what is left and to when that
// begins anew: OpenAI's, which most took over, Anthropic's, and those of everybody.
var limitHeaders = []struct{ remaining, reset string }{
	{"X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
	{"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	{"Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
	{"Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
	{"Anthropic-Ratelimit-Input-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Reset"},
	{"Anthropic-Ratelimit-Output-Tokens-Remaining", "Anthropic-Ratelimit-Output-Tokens-Reset"},
	{"X-Ratelimit-Remaining", "X-Ratelimit-Reset"},
	{"X-Ratelimit-Remaining", "X-Ratelimit-Reset-After"},
	{"X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"},
	{"Ratelimit-Remaining", "Ratelimit-Reset"},
}

// Exhausted returns when a limit that the headers report as used up has room again,
// the latest of them; zero where none is.
func Exhausted(h http.Header, now time.Time) time.Time {
	if !limits(h) {
		return time.Time{}
	}
	var wait time.Duration
	for _, name := range limitHeaders {
		left := values(h, name.remaining)
		if len(left) == 0 {
			continue
		}
		if n, ok := number(left[0]); !ok || n != 0 { // -1 is Azure's "unknown"
			continue
		}
		d := longest(h, name.reset, now)
		wait = max(wait, d)
	}
	if d, used := policies(h, now); used {
		wait = max(wait, d)
	}
	if wait == 0 {
		return time.Time{}
	}
	return now.Add(wait)
}

// policies reads the header RateLimit, of the IETF's drafts: "limit=10, remaining=0,
// reset=5" of older ones, and lists such as `"burst";r=0;t=5`. used says that one of
// them has nothing left, and the delay is of those; else it is of all.
func policies(h http.Header, now time.Time) (d time.Duration, used bool) {
	for _, value := range values(h, "Ratelimit") {
		split := ","
		if !strings.Contains(value, ";") {
			split = "\x00" // one policy, whose parameters have commas between
		}
		for policy := range strings.SplitSeq(value, split) {
			var wait time.Duration
			empty := false
			for _, param := range strings.FieldsFunc(policy, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
				switch name, value, _ := strings.Cut(param, "="); name {
				case "t", "reset":
					wait, _ = Delay(value, now)
				case "r", "remaining":
					empty = value == "0"
				}
			}
			switch {
			case empty && !used:
				d, used = wait, true
			case empty || !used:
				d = max(d, wait)
			}
		}
	}
	return d, used
}

// Wait returns how long a server that takes no more asks to wait, by all that it says:
// its Retry-After, its body's word, the limits in its headers that are used up, or else
// any of which it says when they begin anew, and last its message. 0: it does not say,
// or what is used up was nothing to begin with, for which no word is to be believed.
func (f *Fault) Wait(h http.Header, now time.Time) time.Duration {
	if f.Nothing || limitOfZero.Get().MatchString(f.Message) {
		return 0
	}
	if d := RetryAfter(h, now); d > 0 {
		return max(d, f.Day(now))
	}
	if f.After > 0 {
		return max(f.After, f.Day(now))
	}
	for _, h := range []http.Header{h, f.Header} {
		if d := RetryAfter(h, now); d > 0 {
			return d
		}
		if at := Exhausted(h, now); !at.IsZero() {
			return at.Sub(now)
		}
		d, _ := policies(h, now)
		for _, name := range limitHeaders {
			if left := values(h, name.remaining); len(left) == 0 { // else it is another limit
				one := longest(h, name.reset, now)
				d = max(d, one)
			}
		}
		if d > 0 {
			return d
		}
	}
	return max(Asked(f.Message, now), f.Day(now))
}

// Day is how long Google's quotas of a day stay used up, whatever else it says: they
// begin anew at midnight in California, in summer an hour before what this says.
func (f *Fault) Day(now time.Time) time.Duration {
	if !f.googleDay {
		return 0
	}
	return now.UTC().Add(-8 * time.Hour).Truncate(24 * time.Hour).Add(32 * time.Hour).Sub(now)
}
