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

// estimate returns how many tokens the request may use, answer included.
func (r *run) estimate() int {
	r.count()
	return r.tokens + r.output
}

// rough is an estimate that costs nothing.
func (r *run) rough() int { return len(r.req.Body) / 4 }

// longerThan reports whether the input is longer than a model reads. A token is
// a byte at least, so that short bodies need no counting.
func (r *run) longerThan(limit int) bool {
	if len(r.req.Body) <= limit {
		return false
	}
	r.count()
	return r.tokens > limit
}

// count counts the tokens of the body's texts, and finds what it allows the
// answer, once per request.
func (r *run) count() {
	if r.tokens > 0 {
		return
	}
	r.tokens = 1
	var newer, older int
	_, _ = rawjson.Object(r.req.Body, func(key, value []byte) {
		switch string(rawjson.Key(key)) {
		case "messages", "input", "prompt", "instructions", "tools", "functions":
			r.tokens += countTokens(value)
		case "max_completion_tokens", "max_output_tokens":
			newer, _ = strconv.Atoi(string(value))
		case "max_tokens":
			older, _ = strconv.Atoi(string(value))
		}
	})
	if r.output = max(newer, 0); newer <= 0 {
		r.output = max(older, 0)
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
