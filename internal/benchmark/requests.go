package benchmark

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Requests are those from index First, N of them. Each is a chat completion
// whose message says its index, which the upstream repeats in the answer.
type Requests struct{ First, N int }

// model is that of all requests.
const model = "bench"

// filler makes a message about as long as a short question is.
const filler = ": Name the capital of France, the river it lies on and its tallest tower, in one short sentence, please."

// message is that of request i.
func message(i int) string { return "request " + strconv.Itoa(i) + filler }

// appendBody appends the body of request i.
func appendBody(dst []byte, i int) []byte {
	dst = append(dst, `{"model":"`+model+`","messages":[{"role":"user","content":"request `...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	return append(dst, filler+`"}]}`...)
}

// appendMark appends what only the answer to request i holds.
func appendMark(dst []byte, i int) []byte {
	dst = append(dst, "You said: request "...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	return append(dst, ':')
}

// Size is how many bytes [Requests.Lines] gives.
func (r Requests) Size() int {
	const most = 20 // digits
	if r.N == 0 {
		return 0
	}
	return r.N * (len(appendBody(nil, 0)) + most)
}

// Lines are the requests as JSON Lines. They are made while they are read.
func (r Requests) Lines() io.Reader { return &lines{left: r} }

type lines struct {
	left Requests
	line []byte // room for one
	rest []byte // of it, not read yet
}

func (l *lines) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(l.rest) == 0 {
			if l.left.N == 0 {
				break
			}
			l.line = append(appendBody(l.line[:0], l.left.First), '\n')
			l.rest = l.line
			l.left.First++
			l.left.N--
		}
		k := copy(p[n:], l.rest)
		l.rest = l.rest[k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// checker sees to it that each answer is that of its request, in their order,
// and that none is missing.
type checker struct {
	want Requests
	mark []byte
}

func (c *checker) take(text []byte) error {
	if c.want.N == 0 {
		return fmt.Errorf("more answers than requests: %s", text)
	}
	c.mark = appendMark(c.mark[:0], c.want.First)
	if !bytes.Contains(text, c.mark) {
		return fmt.Errorf("the answer to request %d is not its own: %.300s", c.want.First, text)
	}
	c.want.First++
	c.want.N--
	return nil
}

func (c *checker) done() error {
	if c.want.N > 0 {
		return fmt.Errorf("%d answers are missing, from request %d on", c.want.N, c.want.First)
	}
	return nil
}
