package schema

import (
	"fmt"
	"strings"

	"pelton/internal/hint"
)

// envelope reads the fields around the requests into a job.
type envelope struct {
	checker
	job      *Job
	given    uint64 // one bit per field, by its place in jobFields
	messages bool   // "messages" stands among the fields
	array    []byte // the requests; nil: none, or no array
}

func newEnvelope(job *Job, limits Limits) *envelope {
	return &envelope{checker: checker{limits: limits.withDefaults()}, job: job}
}

// member reads one field of the envelope.
func (p *envelope) member(key, raw []byte, depth int) {
	place := jobFieldPlace(key)
	var bad fault
	switch {
	case place < 0:
		hint := ""
		if p.problems.Total < MaxProblems {
			hint = suggest(string(key))
		}
		bad = faulty(ProblemUnknownField, "is no field of a job%s", hint)
		p.messages = p.messages || string(key) == "messages"
	case p.given&(1<<place) != 0:
		bad = faulty(ProblemDuplicateField, "stands twice; keep one")
	case string(key) != "requests" && notUTF8(raw) >= 0:
		bad = faulty(ProblemJSON, "%s", notUTF8Text(raw, notUTF8(raw)))
	default:
		p.given |= 1 << place
		bad = jobFields[place].read(p, raw, depth)
	}
	if bad.code != "" { // string(key) allocates
		p.flagFault(bad, clip(string(key)))
	}
	p.flush()
}

// has reports whether the field of that name was given, whatever its value.
func (p *envelope) has(name string) bool {
	return p.given&(1<<jobFieldPlace([]byte(name))) != 0
}

// members reads the members of the object that the field name holds, and flags
// what read finds wrong with each. what says what the object is and which members
// it has.
func (p *envelope) members(object []byte, name, what string, read func(key string, value []byte) (bad fault, known bool)) {
	p.keys.reset()
	_ = walkObject(object, func(f field) {
		key := string(f.key)
		var bad fault
		if !p.keys.add(f.key) {
			bad = faulty(ProblemDuplicateField, "stands twice; keep one")
		} else if fault, known := read(key, object[f.start:f.end]); known {
			bad = fault
		} else {
			bad = faulty(ProblemUnknownField, "is no field of %s", what)
		}
		p.flagFault(bad, name+"."+clip(key))
	})
}

// jobFieldNames returns the names in the order of jobFields.
func jobFieldNames() []string {
	names := make([]string, len(jobFields))
	for i := range jobFields {
		names[i] = jobFields[i].name
	}
	return names
}

// suggest is the known field that key is most likely meant to be, as the end of
// a message.
func suggest(key string) string {
	names := jobFieldNames()
	if near := hint.Nearest(key, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; it has " + strings.Join(names, ", ")
}
