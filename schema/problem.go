package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Codes of a [Problem].
const (
	ProblemJSON            = "invalid_json"        // not JSON at all
	ProblemUnknownField    = "unknown_field"       // a field nobody reads: most often a typing error
	ProblemDuplicateField  = "duplicate_field"     // the same key twice in one object
	ProblemType            = "wrong_type"          // another JSON type than the field has
	ProblemValue           = "invalid_value"       // the right type, but not a value the field can have
	ProblemMissing         = "missing"             // a field that cannot be done without
	ProblemTooLarge        = "too_large"           // beyond one of the [Limits]
	ProblemDuplicateID     = "duplicate_custom_id" // a custom_id that an earlier request has
	ProblemExperimentalOff = "experimental_off"    // a feature behind a flag that is off
)

// Problem is one thing wrong with a job.
type Problem struct {
	Code    string `json:"code"`
	Index   int    `json:"index"`           // the request's, from 0; -1 for the job around them
	Line    int    `json:"line,omitempty"`  // in a line-by-line input, from 1; 0 for none
	Field   string `json:"field,omitempty"` // as a path: "concurrency", "body.model"
	Message string `json:"message"`         // what is wrong and what to do, without the place
}

// String says where and what on one line: "request 3 (line 4): messages: missing; …".
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Index < 0 && p.Line > 0:
		fmt.Fprintf(&b, "line %d: ", p.Line)
	case p.Index < 0:
		b.WriteString("job: ")
	case p.Line > 0:
		fmt.Fprintf(&b, "request %d (line %d): ", p.Index, p.Line)
	default:
		fmt.Fprintf(&b, "request %d: ", p.Index)
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// MaxProblems is how many problems of a job are listed; all are counted.
const MaxProblems = 100

// Problems is everything wrong with a job. It is a Go error; as JSON it is the
// body of the answer that refuses the job.
type Problems struct {
	List     []Problem `json:"problems"` // the first [MaxProblems], in the order of the input
	Total    int       `json:"total"`    // all of them
	Requests int       `json:"requests"` // the requests the job has; 0 where that could not be told
}

// Error lists the problems, one per line.
func (p *Problems) Error() string {
	switch {
	case p.Total == 0:
		return "no problems"
	case p.Total == 1 && len(p.List) == 1:
		return p.List[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d problems:", p.Total)
	for _, problem := range p.List {
		b.WriteString("\n  " + problem.String())
	}
	if more := p.Total - len(p.List); more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}

// Has reports whether a listed problem has the code.
func (p *Problems) Has(code string) bool {
	for _, problem := range p.List {
		if problem.Code == code {
			return true
		}
	}
	return false
}

func (p *Problems) add(problem Problem) {
	if p.Total++; len(p.List) < MaxProblems {
		p.List = append(p.List, problem)
	}
}

// err is a copy of p as an error, nil when there is no problem: an error that is
// kept should not keep the parser's memory.
func (p *Problems) err() error {
	if p.Total == 0 {
		return nil
	}
	own := *p
	own.List = slices.Clone(p.List)
	return &own
}
