package cohere

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// usage is what an answer counts: the tokens, and those of them that are billed.
type usage struct {
	known, hasBilled          bool
	input, output, cached     int64
	billedInput, billedOutput int64
	hasTokens, hasCached      bool
	billed                    []byte // as it is written
}

func (u *usage) take(raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "tokens":
			u.hasTokens = counts(value, &u.input, &u.output)
		case "billed_units":
			u.hasBilled = counts(value, &u.billedInput, &u.billedOutput)
			u.billed = append(u.billed[:0], value...)
		case "cached_tokens":
			if !rawjson.IsNull(value) {
				u.cached, u.hasCached = translate.Count(value), true
			}
		}
	})
	if u.known = u.hasTokens || u.hasBilled; !u.hasTokens {
		u.input, u.output = u.billedInput, u.billedOutput
	}
}

// counts reads a pair of counts, and reports whether there was any.
func counts(raw []byte, input, output *int64) (some bool) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch n, ok := protocol.Count(value); string(key) {
		case "input_tokens":
			*input, some = n, some || ok
		case "output_tokens":
			*output, some = n, some || ok
		}
	})
	return some
}

// counted is the usage for the router.
func (u *usage) counted() protocol.Usage {
	return protocol.Usage{
		Known: u.known, Input: u.input, Output: u.output, Total: u.input + u.output, CacheRead: u.cached,
		Billed: u.hasBilled, BilledInput: u.billedInput, BilledOutput: u.billedOutput,
	}
}

// append appends the usage in OpenAI's form.
func (u *usage) append(out []byte) []byte {
	number := func(before string, n int64) { out = strconv.AppendInt(append(out, before...), n, 10) }
	number(`{"prompt_tokens":`, u.input)
	number(`,"completion_tokens":`, u.output)
	number(`,"total_tokens":`, u.input+u.output)
	if u.hasCached {
		number(`,"prompt_tokens_details":{"cached_tokens":`, u.cached)
		out = append(out, '}')
	}
	if u.hasBilled {
		out = translate.AppendMember(out, "billed_units", u.billed)
	}
	return append(out, '}')
}

// number is a number of JSON's, 0 for what is none.
func number(raw []byte) float64 {
	f, _ := strconv.ParseFloat(string(raw), 64)
	return f
}

func appendFloat(out []byte, f float64) []byte { return strconv.AppendFloat(out, f, 'g', -1, 64) }
