package gemini

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// encodeEmbeddings appends to out the request for the body of an embeddings
// request: batchEmbedContents, or Vertex AI's predict.
func encodeEmbeddings(out, body []byte, model string, to target) ([]byte, error) {
	r := output{target: to, out: append(out, '{')}
	var input, dimensions, task, title []byte
	if object, _ := rawjson.Object(body, func(key, value []byte) {
		switch name := string(rawjson.Key(key)); name {
		case "input":
			input = value
		case "dimensions":
			dimensions = value
		case "task_type", "taskType":
			task = value
		case "title":
			title = value
		case "model", "user", "encoding_format":
		default:
			if !rawjson.IsNull(value) {
				r.unsupported(name, "")
			}
		}
	}); !object {
		r.bad("", "the body is no JSON object")
	}
	texts := 0
	each := func(text []byte) {
		if !rawjson.IsString(text) {
			r.bad("input", "must be text or an array of texts: Gemini takes no tokens")
			return
		}
		r.out = translate.Comma(r.out)
		texts++
		if to.vertex {
			r.out = append(append(r.out, `{"content":`...), text...)
		} else {
			r.out = rawjson.AppendString(append(r.out, `{"model":`...), "models/"+model)
			r.out = append(append(append(r.out, `,"content":{"parts":[{"text":`...), text...), "}]}"...)
			r.put("outputDimensionality", dimensions)
		}
		if name := "taskType"; task != nil {
			if to.vertex {
				name = "task_type"
			}
			r.put(name, task)
		}
		r.put("title", title)
		r.out = append(r.out, '}')
	}
	if r.member("requests"); to.vertex {
		r.out = append(r.out[:1], `"instances":`...)
	}
	r.out = append(r.out, '[')
	if rawjson.IsArray(input) {
		rawjson.Array(input, each)
	} else {
		each(input)
	}
	if texts == 0 {
		r.bad("input", "is empty")
	}
	r.out = append(r.out, ']')
	if to.vertex && !rawjson.IsNull(dimensions) {
		r.out = append(append(append(r.out, `,"parameters":{"outputDimensionality":`...), dimensions...), '}')
	}
	return append(r.out, '}'), r.err
}

// embeddings is the answer, as written.
type embeddings struct {
	vectors [][]byte
	tokens  int64
	counted bool
	usage   usage
	fault   []byte
}

func (e *embeddings) take(key, value []byte) {
	switch string(key) {
	case "embeddings":
		rawjson.Array(value, e.vector)
	case "predictions":
		rawjson.Array(value, func(raw []byte) {
			_, _ = rawjson.Object(raw, func(key, value []byte) {
				if string(key) == "embeddings" {
					e.vector(value)
				}
			})
		})
	case "usageMetadata":
		e.usage = readUsage(value)
		e.tokens, e.counted = e.usage.prompt, true
	case "error":
		e.fault = value
	}
}

func (e *embeddings) vector(raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "values":
			e.vectors = append(e.vectors, value)
		case "statistics":
			_, _ = rawjson.Object(value, func(key, value []byte) {
				if string(key) == "token_count" {
					n, ok := protocol.Count(value)
					e.tokens, e.counted = e.tokens+n, e.counted || ok
				}
			})
		}
	})
}

// decodeEmbeddings makes a list of embeddings of an answer. body is the request's.
func decodeEmbeddings(body []byte, model string, reply protocol.Reply) protocol.Answer {
	var e embeddings
	object, valid := rawjson.Object(reply.Body, e.take)
	decoded := protocol.Answer{Body: reply.Body, JSON: valid}
	if e.counted {
		decoded.Usage = protocol.Usage{Known: true, Input: e.tokens, Total: e.tokens}
	}
	switch {
	case !reply.OK() || !object || e.fault != nil:
		decoded.Failed = true
		decoded.Fault, _ = faultOf(reply.Status, reply.Body, reply.At)
		return decoded
	case len(e.vectors) == 0:
		decoded.Lacks = "the answer holds no embeddings"
		return decoded
	}
	packed := false
	_, _ = rawjson.Object(body, func(key, value []byte) {
		if string(key) == "encoding_format" {
			packed = string(value) == `"base64"`
		}
	})
	out := append(make([]byte, 0, len(reply.Body)+256), `{"object":"list","data":[`...)
	for i, vector := range e.vectors {
		out = strconv.AppendInt(append(translate.Comma(out), `{"object":"embedding","index":`...), int64(i), 10)
		out = append(out, `,"embedding":`...)
		if packed {
			out = translate.AppendPacked(out, vector)
		} else {
			out = append(out, vector...)
		}
		out = append(out, '}')
	}
	out = rawjson.AppendString(append(out, `],"model":`...), model)
	if e.counted {
		out = strconv.AppendInt(append(out, `,"usage":{"prompt_tokens":`...), e.tokens, 10)
		out = append(strconv.AppendInt(append(out, `,"total_tokens":`...), e.tokens, 10), '}')
	}
	decoded.Body = append(out, '}')
	return decoded
}
