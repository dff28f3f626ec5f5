package dataset

import (
	"encoding/json"
	"errors"
	"io"
)

// made is a row that became a request line.
type made struct {
	text    []byte
	line    int
	problem string // why it became no request
}

// producer makes the rows' lines as the schema's reader asks for them. That
// reads ahead by as much as it likes: what it was given waits in a queue.
type producer struct {
	name  string
	rows  rowReader
	maker maker
	limit int
	count int
	ahead []made
	rest  []byte // of the line that is being read
	spare []byte
}

func (p *producer) Read(buf []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.limit > 0 && p.count >= p.limit {
			return 0, io.EOF
		}
		m, err := p.next()
		if err != nil {
			return 0, err
		}
		p.count++
		p.ahead = append(p.ahead, m)
		p.rest = append(m.text, '\n')
		p.ahead[len(p.ahead)-1].text = p.rest[:len(m.text)]
	}
	n := copy(buf, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *producer) next() (made, error) {
	text := p.spare[:0]
	p.spare = nil
	row, err := p.rows.next()
	if err == nil {
		if text, err = p.maker.line(text, row); err == nil {
			return made{text: text, line: row.line}, nil
		}
		err = &rowError{row.line, err.Error()}
	}
	var bad *rowError
	if !errors.As(err, &bad) {
		return made{}, err
	}
	place := Problem{File: p.name, Line: bad.line, Message: bad.message}
	quoted, err := json.Marshal(place.String())
	return made{text: append(text[:0], quoted...), line: bad.line, problem: bad.message}, err
}

func (p *producer) take() made {
	m := p.ahead[0]
	p.ahead = append(p.ahead[:0], p.ahead[1:]...)
	return m
}

// recycle lets the memory of a line be used again.
func (p *producer) recycle(m made) {
	if p.spare == nil && cap(m.text) <= 1<<20 {
		p.spare = m.text
	}
}
