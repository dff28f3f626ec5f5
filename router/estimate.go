package router

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
	maxCounted    = 4 << 10
	piece         = 512
	pictureTokens = 1000
	pictureSize   = 200 // bytes from which on "data:" is a picture
)

// size is how long a request is, in tokens, once somebody asks.
type size struct {
	body   []byte
	input  int // estimated; 0: not yet
	output int // what the body allows the answer
}

// estimate returns how many tokens the request may use, answer included.
func (z *size) estimate() int {
	z.count()
	return z.input + z.output
}

// rough is an estimate that costs nothing.
func (z *size) rough() int { return len(z.body) / 4 }

// longerThan reports whether the input is longer than a model reads. A token is
// a byte at least, so that short bodies need no counting.
func (z *size) longerThan(limit int) bool {
	if len(z.body) <= limit {
		return false
	}
	z.count()
	return z.input > limit
}

// count counts the tokens of the body's texts, and finds what it allows the
// answer, once per request.
func (z *size) count() {
	if z.input > 0 {
		return
	}
	z.input = 1
	var newer, older int
	_, _ = rawjson.Object(z.body, func(key, value []byte) {
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
// they stand for what the model is given around each message.
func countTokens(raw []byte) int {
	total, pictures := 0, 0
	rawjson.Strings(raw, func(text []byte) {
		if len(text) > pictureSize && bytes.HasPrefix(text, []byte("data:")) {
			pictures++
			return
		}
		total += len(text)
	})
	if total == 0 {
		return pictures * pictureTokens
	}
	stride := 1 // of the pieces, one in so many is counted
	if total > maxCounted {
		stride = (total + maxCounted - 1) / maxCounted
	}
	sample := make([]byte, 0, min(total, maxCounted)+64)
	at := 0
	rawjson.Strings(raw, func(text []byte) {
		if len(text) > pictureSize && bytes.HasPrefix(text, []byte("data:")) {
			return
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
	return pictures*pictureTokens + codeTokens(sample, total)
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
