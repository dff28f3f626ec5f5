package router

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/tiktoken-go/tokenizer"

	"pelton/schema"
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

// Bounds of an estimate: how much of a body is looked at, the rest taken to be
// like it, and what a picture or a message's frame counts.
const (
	maxCounted    = 64 << 10
	pictureTokens = 1000
	frameTokens   = 4
)

// estimate returns how many tokens the request may use, answer included. It is
// made once per request.
func (r *run) estimate() int {
	if r.tokens == 0 {
		r.tokens = max(1, r.inputTokens())
	}
	return r.tokens + r.outputTokens()
}

// rough is an estimate that costs nothing.
func (r *run) rough() int { return len(r.req.Body)/4 + r.outputTokens() }

// longerThan reports whether the input is longer than a model reads. A token is
// a byte at least, so that short bodies need no counting.
func (r *run) longerThan(limit int) bool {
	if len(r.req.Body) <= limit {
		return false
	}
	if r.tokens == 0 {
		r.tokens = max(1, r.inputTokens())
	}
	return r.tokens > limit
}

// outputTokens is what the body allows the answer.
func (r *run) outputTokens() int {
	for _, name := range []string{"max_completion_tokens", "max_tokens", "max_output_tokens"} {
		if raw, ok := schema.Field(r.req.Body, name); ok {
			if n, err := strconv.Atoi(string(raw)); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// inputTokens counts the tokens of the body's texts.
func (r *run) inputTokens() int {
	total := 0
	for _, name := range []string{"messages", "input", "prompt", "instructions", "tools", "functions"} {
		if raw, ok := schema.Field(r.req.Body, name); ok {
			total += countTokens(raw)
		}
	}
	return total
}

// countTokens counts those of all strings within a JSON value.
func countTokens(raw []byte) int {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var text []byte
	pictures, frames, total := 0, 0, 0
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' {
				frames++
			}
		case string:
			if len(t) > 200 && bytes.HasPrefix([]byte(t), []byte("data:")) {
				pictures++
				continue
			}
			total += len(t)
			if len(text) < maxCounted {
				text = append(append(text, t[:min(len(t), maxCounted-len(text))]...), '\n')
			}
		case json.Number:
			text = append(append(text, t...), ' ')
			total += len(t) + 1
		}
	}
	return codeTokens(text, total) + pictures*pictureTokens + frames*frameTokens
}

// codeTokens counts the tokens of text, which stands for total bytes.
func codeTokens(text []byte, total int) int {
	if len(text) == 0 {
		return 0
	}
	n := len(text) / 4
	if codec := encoding(); codec != nil {
		if count, err := codec.Count(string(bytes.ToValidUTF8(text, nil))); err == nil {
			n = count
		}
	}
	if total > len(text) {
		n = int(float64(n) * float64(total) / float64(len(text)))
	}
	return n
}
