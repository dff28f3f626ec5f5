package schema

import (
	"encoding/json"
	"fmt"
	"strings"

	"pelton/internal/hint"
)

// envelope reads the fields around the requests into a job.
type envelope struct {
	*checker
	job *Job
}

// member reads one field of the envelope.
func (p *envelope) member(seen map[string]json.RawMessage, key string, raw json.RawMessage, depth int) {
	_, again := seen[key]
	if !again {
		seen[key] = raw
	}
	var bad fault
	if again {
		bad = faulty(ProblemDuplicateField, "stands twice; keep one")
	} else if f := jobFieldNamed(key); f != nil {
		bad = f.read(p, raw, depth)
	} else {
		hint := ""
		if p.problems.Total < MaxProblems {
			hint = suggest(key)
		}
		bad = faulty(ProblemUnknownField, "is no field of a job%s", hint)
	}
	p.flagFault(bad, clip(key))
	p.flush()
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
