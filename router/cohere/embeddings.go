package cohere

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// embedRequest is one body of OpenAI's embeddings on its way into one of Cohere's.
type embedRequest struct {
	translate.Refusals
	model string
	note  note
}

// append appends the body to send to out.
func (r *embedRequest) append(out, body []byte) []byte {
	out = rawjson.AppendString(append(out, `{"model":`...), r.model)
	var kind, types []byte
	asked := false
	object, _ := rawjson.Object(body, func(key, value []byte) {
		if rawjson.IsNull(value) {
			return
		}
		switch name := string(key); name {
		case "model", "user":
		case "encoding_format":
			r.note.packed = string(value) == `"base64"`
		case "dimensions":
			out = translate.AppendMember(out, "output_dimension", value)
		case "input_type":
			kind = value
		case "embedding_types":
			types = value
		case "input":
			out, asked = r.texts(out, value), true
		default: // Cohere's own
			asked = asked || name == "images" || name == "inputs" || name == "texts"
			out = translate.AppendMember(out, key, value)
		}
	})
	switch {
	case !object:
		r.Fail("", "the body is no JSON object")
		return out
	case !asked:
		r.Fail("input", "input: missing")
	}
	if kind == nil {
		kind = []byte(`"search_document"`) // Cohere wants one; this is LiteLLM's
	}
	if types == nil {
		types = []byte(`["float"]`)
	}
	out = translate.AppendMember(out, "input_type", kind)
	return append(translate.AppendMember(out, "embedding_types", types), '}')
}

// texts appends what is to be embedded.
func (r *embedRequest) texts(out, input []byte) []byte {
	out = append(translate.AppendKey(out, "texts"), '[')
	n := 0
	each := func(text []byte) {
		if n++; !rawjson.IsString(text) {
			r.Fail("input", "input: must be text or an array of texts: Cohere takes no tokens")
		}
		out = append(translate.Comma(out), text...)
	}
	if rawjson.IsArray(input) {
		_, _ = rawjson.Array(input, each)
	} else {
		each(input)
	}
	if n == 0 {
		r.Fail("input", "input: empty")
	}
	return append(out, ']')
}

// decodeEmbeddings makes a list of embeddings of an answer.
func (p *Protocol) decodeEmbeddings(c *protocol.Call, reply protocol.Reply, made protocol.Answer) protocol.Answer {
	packed := noteOf(c).packed
	out := append(make([]byte, 0, len(reply.Body)+256), `{"object":"list","data":[`...)
	n := 0
	each := func(kind string) func(vector []byte) {
		index := 0
		return func(vector []byte) {
			out = strconv.AppendInt(append(translate.Comma(out), `{"object":"embedding","index":`...), int64(index), 10)
			out = append(out, `,"embedding":`...)
			if packed && kind == "float" {
				out = translate.AppendPacked(out, vector)
			} else {
				out = append(out, vector...)
			}
			if kind != "float" {
				out = append(append(append(out, `,"type":"`...), kind...), '"')
			}
			out = append(out, '}')
			index++
			n++
		}
	}
	var count usage
	object, valid := rawjson.Object(reply.Body, func(key, value []byte) {
		switch string(key) {
		case "embeddings":
			_, _ = rawjson.Object(value, func(kind, vectors []byte) { _, _ = rawjson.Array(vectors, each(string(kind))) })
		case "meta":
			count.take(value)
		}
	})
	switch {
	case !object || !valid:
		return p.failed(reply, made)
	case n == 0:
		made.Body, made.JSON, made.Lacks = reply.Body, true, "the answer holds no embeddings"
		return made
	}
	out = rawjson.AppendString(append(out, `],"model":`...), c.Model)
	if made.Usage = count.counted(); count.known {
		out = strconv.AppendInt(append(out, `,"usage":{"prompt_tokens":`...), count.input, 10)
		out = append(strconv.AppendInt(append(out, `,"total_tokens":`...), count.input+count.output, 10), '}')
	}
	made.Body, made.JSON = append(out, '}'), true
	return made
}
