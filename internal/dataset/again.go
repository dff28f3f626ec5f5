package dataset

import (
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Again reads an input that a [Reader] has found good a second time: it makes the
// same lines and judges none of them. Whether the input is still the same shows in
// [Again.Hash]. It is for one goroutine.
type Again struct {
	rows *producer
	rest []byte // of a line that did not fit
	sum  hash.Hash
}

// NewAgain reads in as [New] does, with the options that the first reading had.
func NewAgain(in io.Reader, name string, o Options) (*Again, error) {
	r, err := New(in, name, o)
	if err != nil {
		return nil, err
	}
	return &Again{rows: r.rows, sum: r.sum}, nil
}

// Read gives the request lines as NDJSON.
func (a *Again) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(a.rest) == 0 {
			if err := a.next(); err != nil {
				if n > 0 && err == io.EOF {
					break
				}
				return n, err
			}
		}
		k := copy(p[n:], a.rest)
		a.rest = a.rest[k:]
		n += k
	}
	return n, nil
}

func (a *Again) next() error {
	p := a.rows
	if p.limit > 0 && p.count >= p.limit {
		return io.EOF
	}
	m, err := p.next()
	if err == io.EOF {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.count++
	line := append(m.text, '\n')
	p.spare = line[:0] // good until the next line is made: rest has been copied by then
	a.rest = line
	a.sum.Write(line)
	return nil
}

// Hash returns what [Reader.Hash] does of the lines so far.
func (a *Again) Hash() string { return hex.EncodeToString(a.sum.Sum(nil)) }
