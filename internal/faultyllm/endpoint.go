package faultyllm

import (
	"strconv"

	"pelton/internal/rawjson"
)

// endpoint is a path that answers calls. Its functions append to a buffer and
// leave the writing to the exchange.
type endpoint struct {
	path    string // where calls arrive, and its name on the record
	subject string // the field of the body that holds the question

	// match takes calls whose path names the model, and says whether a stream is
	// asked for; nil: calls arrive at path, and the body says both.
	match func(path string) (model string, streamed, ok bool)
	// adapt makes a failure what it is in the endpoint's protocol, and fail appends
	// it to an answer, with the time to wait in it; nil: as OpenAI has them.
	adapt func(*exchange, *failure)
	fail  func(x *exchange, out []byte, f *failure) []byte
	// noRetryAfter says that the server has no such header.
	noRetryAfter bool
	// check refuses what else the endpoint refuses of a body; nil: nothing.
	check func(*exchange) (failure, bool)
	// idHeader is where the call's id goes; empty: X-Request-Id.
	idHeader string

	// compose fills texts, one for each choice or input.
	compose func(*exchange)
	// whole appends the answer; with no texts, one that lacks choices.
	whole func(*exchange, []byte) []byte
	// stream is nil where there is no streaming.
	stream *encoder
}

var endpoints = []*endpoint{chat, completions, responses, embeddings, moderations, messages, gemini, geminiEmbeddings, converse, cohereChat, cohereEmbed}

// endpointOf finds where a path leads; nil: nowhere.
func endpointOf(path string) *endpoint {
	for _, ep := range endpoints {
		if ep.match == nil && ep.path == path {
			return ep
		}
		if ep.match != nil {
			if _, _, ok := ep.match(path); ok {
				return ep
			}
		}
	}
	return nil
}

// appendError appends a failure in the form of the call's endpoint.
func (x *exchange) appendError(out []byte, f *failure) []byte {
	if x.ep.fail != nil {
		return x.ep.fail(x, out, f)
	}
	return f.appendError(out)
}

const maxDimensions = 8192

// answerTo appends an answer to the text that question appends.
func (x *exchange) answerTo(question func(into []byte) []byte) {
	from := len(x.text)
	switch {
	case x.script != nil && x.script.Answer != nil:
		x.text = append(x.text, *x.script.Answer...)
	case x.script != nil && x.script.Tokens != nil:
		for _, t := range x.script.Tokens {
			x.text = append(x.text, t...)
		}
	case x.set.Answer != "":
		x.text = append(x.text, x.set.Answer...)
	default:
		x.text = append(x.text, "You said: "...)
		mark := len(x.text)
		if x.text = question(x.text); len(x.text) == mark {
			x.text = append(x.text[:from], "You said nothing."...)
		} else if n := runes(x.text[mark:], x.set.EchoRunes); n >= 0 {
			x.text = append(x.text[:mark+n], "…"...)
		}
	}
	x.texts = append(x.texts, x.text[from:])
}

// runes reports where the first n runes of s end, or -1 if s has no more than
// that, or n is negative.
func runes(s []byte, n int) int {
	if n < 0 || len(s) <= n {
		return -1
	}
	for i, c := range s {
		if c&0xc0 != 0x80 { // the first byte of a rune
			if n == 0 {
				return i
			}
			n--
		}
	}
	return -1
}

// word cuts the first word off s, with the spaces before it.
func word(s []byte) (first, rest []byte) {
	i := 0
	for i < len(s) && s[i] == ' ' {
		i++
	}
	for i < len(s) && s[i] != ' ' {
		i++
	}
	return s[:i], s[i:]
}

// split fills pieces from texts.
func (x *exchange) split() {
	for choice, text := range x.texts {
		if x.script != nil && x.script.Tokens != nil {
			for _, t := range x.script.Tokens {
				x.pieces = append(x.pieces, piece{choice, []byte(t)})
			}
			continue
		}
		for len(text) > 0 {
			var w []byte
			w, text = word(text)
			x.pieces = append(x.pieces, piece{choice, w})
		}
	}
}

// tokens are rough counts: a quarter of the bytes of the question, the words of
// the answer.
func (x *exchange) tokens() (prompt, completion int) {
	prompt = (len(x.req.subject) + 3) / 4
	for _, text := range x.texts {
		if x.script != nil && x.script.Tokens != nil {
			completion += len(x.script.Tokens)
			continue
		}
		for len(text) > 0 {
			_, text = word(text)
			completion++
		}
	}
	return prompt, completion
}

// usage appends the usage object under the names an endpoint has for it.
func (x *exchange) usage(out []byte, promptName, completionName string) []byte {
	prompt, completion := x.tokens()
	out = append(out, `{"`...)
	out = append(out, promptName...)
	out = append(out, `":`...)
	out = strconv.AppendInt(out, int64(prompt), 10)
	if completionName == "" {
		completion = 0
	} else {
		out = append(out, `,"`...)
		out = append(out, completionName...)
		out = append(out, `":`...)
		out = strconv.AppendInt(out, int64(completion), 10)
	}
	out = append(out, `,"total_tokens":`...)
	out = strconv.AppendInt(out, int64(prompt+completion), 10)
	return append(out, '}')
}

// answerID appends `"id":"…"`, unique to the call.
func (x *exchange) answerID(out []byte, prefix string) []byte {
	out = append(out, `"id":"`...)
	out = append(out, prefix...)
	out = append(out, x.hexID[:]...)
	return append(out, '"')
}

// model appends `"model":"…"`.
func (x *exchange) model(out []byte) []byte {
	out = append(out, `"model":`...)
	return rawjson.AppendString(out, x.req.modelName())
}
