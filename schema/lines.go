package schema

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
)

// LineReader reads requests from an input of any length, one per line (NDJSON):
// what the elements of a job's "requests" are, see [ParseRequest]. Lines may end
// in LF or CRLF, the last needs no end; blank lines and a byte order mark are
// passed over. Memory does not grow with the input, but for 10 to 11 bytes per
// custom_id, by which a second one is found: see [LineReader.Problems].
//
//	lines := schema.NewLineReader(file, schema.Limits{}, nil)
//	for lines.Next() {
//		use(lines.Request(), lines.Index(), lines.Line())
//	}
//	if err := lines.Err(); err != nil { … }      // the reader failed
//	if err := lines.Problems(); err != nil { … } // the input is no valid job
type LineReader struct {
	// SkipInvalid is the job's: invalid requests are not among the Problems then,
	// and are told by their [Request.Problem] alone. Set it before the first Next.
	SkipInvalid bool

	// Endpoint is the input's: a line that names another is invalid, and one that
	// names none is for it. Empty: each line says. Set it before the first Next.
	Endpoint Endpoint

	checker *checker
	in      *bufio.Reader
	long    []byte // a line longer than in's buffer
	request Request
	index   int // of request, -1 before the first
	line    int // of request, from 1
	done    bool
	err     error
}

// NewLineReader returns a reader of r's lines. defaults is the job's, nil for
// none: what it has, bodies need not have.
func NewLineReader(r io.Reader, limits Limits, defaults json.RawMessage) *LineReader {
	l := &LineReader{checker: newChecker(limits), in: bufio.NewReaderSize(r, 64<<10), index: -1}
	l.checker.setDefaults(defaults)
	return l
}

// Next reads the next request and reports whether there is one. An invalid one
// is one too: it takes an index, its [Request.Problem] is set, and reading goes
// on behind it.
func (l *LineReader) Next() bool {
	l.checker.skip, l.checker.endpoint = l.SkipInvalid, l.Endpoint
	for !l.done {
		line, tooLong, ok := l.readLine()
		if !ok {
			l.end()
			return false
		}
		l.line++
		if l.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		line = bytes.Trim(line, " \t\r\n")
		if len(line) == 0 && !tooLong {
			continue
		}
		if l.index+1 >= l.checker.limits.MaxRequests {
			l.checker.problems.add(Problem{Code: ProblemTooLarge, Index: -1, Line: l.line,
				Message: faulty("", "more than %d requests; that is the most one job can have", l.checker.limits.MaxRequests).message})
			l.done, l.request = true, Request{}
			return false
		}
		l.index++
		l.checker.problems.Requests = l.index + 1
		if tooLong {
			l.request = l.checker.reject(nil, l.index, l.line, ProblemTooLarge, "the line is longer than %d bytes", l.longest())
		} else {
			l.request = l.checker.requestText(bytes.Clone(line), l.index, l.line)
		}
		return true
	}
	return false
}

func (l *LineReader) longest() int { return l.checker.limits.MaxBody + lineRoom }

func (l *LineReader) end() {
	l.done, l.request = true, Request{}
	if l.err == nil && l.index < 0 {
		l.checker.problems.add(Problem{Code: ProblemMissing, Index: -1, Message: "the input has no requests; write one per line"})
	}
}

// Request returns the request that Next read. Its bytes are its own: they stay
// as they are when Next is called again.
func (l *LineReader) Request() Request { return l.request }

// Index returns the index of the request in its job, from 0; -1 before the first.
func (l *LineReader) Index() int { return l.index }

// Line returns the number of the line that was read last, from 1.
func (l *LineReader) Line() int { return l.line }

// Err returns the error of the underlying reader, nil at the end of the input.
func (l *LineReader) Err() error { return l.err }

// Problems returns everything wrong with the lines so far as a [*Problems], nil
// for nothing. Of two custom_ids only a 64-bit hash with a random seed is
// compared: in n lines a wrong report has odds of n²/2⁶⁵, so reading again tells.
func (l *LineReader) Problems() error { return l.checker.problems.err() }

// readLine returns the next line, which is good until the next call, whether it
// was too long, and so left out, and whether there was one.
func (l *LineReader) readLine() (line []byte, tooLong, ok bool) {
	if cap(l.long) > 1<<20 {
		l.long = nil
	}
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case tooLong || len(l.long)+len(part) > l.longest()+2: // + CRLF
			tooLong, l.long = true, nil
		case err == bufio.ErrBufferFull || len(l.long) > 0:
			l.long = append(l.long, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			ok = true
			continue
		case err != nil && err != io.EOF:
			l.err = err
			return nil, false, false
		case err == io.EOF && !ok && len(part) == 0:
			return nil, false, false
		case len(l.long) > 0 || tooLong:
			return l.long, tooLong, true
		default:
			return part, false, true
		}
	}
}
