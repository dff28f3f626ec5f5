package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Queue is one queue to serve and its cap: the requests in flight on all
// workers together.
type Queue struct {
	Name string
	Cap  int
}

// MaxQueueCap bounds a queue's cap.
const MaxQueueCap = 1_000_000

// Queues is a list of queues, in the order given, each name once.
type Queues []Queue

// UnmarshalText reads "default=256,bulk=64".
func (q *Queues) UnmarshalText(text []byte) error {
	var queues Queues
	for _, part := range splitList(string(text)) {
		name, number, found := strings.Cut(part, "=")
		name, number = strings.TrimSpace(name), strings.TrimSpace(number)
		if !found {
			return fmt.Errorf("%q has no cap; write %s=256", part, part)
		}
		if !isName(name) {
			return fmt.Errorf("queue name %q: use 1 to 64 letters, digits, - and _", name)
		}
		limit, err := strconv.Atoi(number)
		if err != nil || limit < 1 || limit > MaxQueueCap {
			return fmt.Errorf("cap %q of queue %s: must be a number from 1 to %d", number, name, MaxQueueCap)
		}
		if slices.ContainsFunc(queues, func(o Queue) bool { return o.Name == name }) {
			return fmt.Errorf("queue %s is there twice", name)
		}
		queues = append(queues, Queue{name, limit})
	}
	if len(queues) == 0 {
		return errors.New("names no queue; write default=256")
	}
	*q = queues
	return nil
}

// String is the text that UnmarshalText reads.
func (q Queues) String() string {
	parts := make([]string, len(q))
	for i, queue := range q {
		parts[i] = queue.Name + "=" + strconv.Itoa(queue.Cap)
	}
	return strings.Join(parts, ",")
}

// List is a comma-separated list without empty elements.
type List []string

// UnmarshalText reads "a, b".
func (l *List) UnmarshalText(text []byte) error {
	*l = splitList(string(text))
	return nil
}

// String is the text that UnmarshalText reads.
func (l List) String() string { return strings.Join(l, ",") }

func splitList(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// Sync is how often a server writes through to its disk. The zero value means
// the server's own interval.
type Sync struct {
	Always   bool          // before every acknowledgement
	Interval time.Duration // 0: the server's own
}

// UnmarshalText reads "always", a duration or nothing.
func (s *Sync) UnmarshalText(text []byte) error {
	switch string(text) {
	case "":
		*s = Sync{}
	case "always":
		*s = Sync{Always: true}
	default:
		interval, err := time.ParseDuration(string(text))
		if err != nil || interval < MinSync {
			return fmt.Errorf("must be always or a duration of %v or more, like 10s", MinSync)
		}
		*s = Sync{Interval: interval}
	}
	return nil
}

// String is the text that UnmarshalText reads.
func (s Sync) String() string {
	switch {
	case s.Always:
		return "always"
	case s.Interval == 0:
		return ""
	}
	return s.Interval.String()
}

// isName reports whether s can be one token of a subject and part of a
// stream's name.
func isName(s string) bool {
	return len(s) > 0 && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
