// Package tokens estimates how many tokens a request may use.
package tokens

import (
	"bytes"
	"strconv"
	"sync"

	"github.com/tiktoken-go/tokenizer"

	"pelton/internal/rawjson"
)

// encoding counts tokens. Its tables are in the program and are built when a
// deployment with a token limit is first asked for.
var encoding = sync.OnceValue(func() tokenizer.Codec {
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		return nil
	}
	return codec
})

// Bounds of an estimate. Counting costs a third of a microsecond a byte, so of a
// long text some pieces stand for the whole: the call's own count corrects it.
const (
	maxCounted = 4 << 10
	piece      = 512
)

// Size is how long a request is, in tokens, once somebody asks. The zero value is
// that of an empty body. It is not safe for concurrent use.
type Size struct {
	Body   []byte // a JSON object; it must not change
	input  int    // estimated; 0: not yet
	output int    // what the body allows the answer
}

// Estimate returns how many tokens the request may use, answer included.
func (z *Size) Estimate() int {
	z.count()
	return z.input + z.output
}

// Input returns how many of them the model is to read.
func (z *Size) Input() int {
	z.count()
	return z.input
}

// Rough is an estimate that costs nothing.
func (z *Size) Rough() int { return len(z.Body) / 4 }

// Media tells how many bytes of a JSON value are sound, pictures, films and files, and
// how many tokens these have by their kind.
func Media(value []byte) (size, n int) {
	if len(value) < leastMedia {
		return 0, 0
	}
	var last []byte
	rawjson.Strings(value, func(text []byte) {
		if one, is := media(last, text); is {
			size, n = size+len(text), n+one
		}
		last = text
	})
	return size, n
}

// LongerThan reports whether the input is longer than a model reads. A token is
// a byte at least, so that short bodies need no counting.
func (z *Size) LongerThan(limit int) bool {
	if len(z.Body) <= limit {
		return false
	}
	z.count()
	return z.input > limit
}

// count counts the tokens of the body's texts, and finds what it allows the
// answer, once per request.
func (z *Size) count() {
	if z.input > 0 {
		return
	}
	z.input = 1
	var newer, older int
	_, _ = rawjson.Object(z.Body, func(key, value []byte) {
		switch string(rawjson.Key(key)) {
		case "messages", "input", "prompt", "instructions", "tools", "functions":
			z.input += countTokens(value)
		case "max_completion_tokens", "max_output_tokens":
			newer, _ = strconv.Atoi(string(value))
		case "max_tokens":
			older, _ = strconv.Atoi(string(value))
		}
	})
	if z.output = max(newer, 0); newer <= 0 {
		z.output = max(older, 0)
	}
}

// countTokens counts those of all strings within a JSON value, keys included:
// they stand for what the model is given around each message. What counts is what
// the strings say, not how they are written.
func countTokens(raw []byte) int {
	total, inMedia := 0, 0
	var last []byte // the string before: the key, where there is one
	rawjson.Strings(raw, func(text []byte) {
		n, is := media(last, text)
		if last = text; is {
			inMedia += n
			return
		}
		total += rawjson.TextLen(text)
	})
	if total == 0 {
		return inMedia
	}
	stride := 1 // of the pieces, one in so many is counted
	if total > maxCounted {
		stride = (total + maxCounted - 1) / maxCounted
	}
	sample := make([]byte, 0, min(total, maxCounted)+64)
	var plain []byte
	at := 0
	last = nil
	rawjson.Strings(raw, func(text []byte) {
		_, is := media(last, text)
		if last = text; is || len(sample) >= maxCounted {
			return
		}
		if bytes.IndexByte(text, '\\') >= 0 {
			plain = rawjson.AppendUnquoted(plain[:0], text)
			text = plain
		}
		for len(text) > 0 && len(sample) < maxCounted {
			n := min(len(text), piece-at%piece)
			if at/piece%stride == 0 {
				sample = append(sample, text[:n]...)
			}
			text, at = text[n:], at+n
		}
		sample = append(sample, '\n')
	})
	return inMedia + codeTokens(sample, total)
}

// codeTokens counts the tokens of a sample that stands for total bytes.
func codeTokens(sample []byte, total int) int {
	n := len(sample) / 4
	if codec := encoding(); codec != nil {
		if count, err := codec.Count(string(bytes.ToValidUTF8(sample, nil))); err == nil {
			n = count
		}
	}
	if total > len(sample) {
		n = int(float64(n) * float64(total) / float64(len(sample)))
	}
	return n
}
