package dataset

import (
	"fmt"
	"strings"
)

// MaxProblems is how many problems are listed; all are counted.
const MaxProblems = 100

// Problem is one thing wrong with a row, or with the input as a whole.
type Problem struct {
	File    string
	Line    int // from 1; 0 for the whole input
	Index   int // of the request, from 0; -1 for the whole input
	Message string
}

// String is "FILE:LINE: message".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
}

// Problems is all that is wrong with an input, as an error.
type Problems struct {
	List  []Problem // the first [MaxProblems], in the order of the input
	Total int       // all of them
}

// Error lists the problems, one per line.
func (p *Problems) Error() string {
	var b strings.Builder
	for i, problem := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.ReplaceAll(problem.String(), "\n", " "))
	}
	if more := p.Total - len(p.List); more > 0 {
		fmt.Fprintf(&b, "\nand %d more problems", more)
	}
	return b.String()
}

func (p *Problems) add(problem Problem) {
	if p.Total++; len(p.List) < MaxProblems {
		p.List = append(p.List, problem)
	}
}

// rowError is why a row is bad. Reading goes on behind it.
type rowError struct {
	line    int
	message string
}

func (e *rowError) Error() string { return e.message }
