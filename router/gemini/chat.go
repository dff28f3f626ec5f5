package gemini

import (
	"bytes"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// decodeChat makes a chat completion of a whole response. body is the request's.
func decodeChat(body []byte, model string, reply protocol.Reply) protocol.Answer {
	a := answer{body: body}
	object, valid := rawjson.Object(reply.Body, a.take)
	decoded := protocol.Answer{Body: reply.Body, JSON: valid, Usage: a.usage.counted()}
	if !reply.OK() || !object || a.fault != nil {
		decoded.Failed = true
		decoded.Fault, _ = faultOf(reply.Status, reply.Body, reply.At)
		return decoded
	}
	if f := a.failure(); f != nil {
		decoded.Failed, decoded.Fault = true, *f.asFault()
		return decoded
	}
	if decoded.Lacks = a.lacks(); decoded.Lacks != "" {
		return decoded
	}
	a.named(model)
	decoded.Body = a.render(make([]byte, 0, len(reply.Body)+512), reply.At.Unix(), tierOf(reply))
	return decoded
}

// tierOf is the service tier that a reply was made in, by OpenAI's name; empty:
// it does not say.
func tierOf(reply protocol.Reply) string {
	values := reply.Header["X-Gemini-Service-Tier"]
	switch {
	case len(values) == 0:
		return ""
	case values[0] == "standard":
		return "default"
	}
	return values[0]
}

func newStream(c *protocol.Call, reply protocol.Reply, events *protocol.SSE, limit int64) *stream {
	return &stream{
		events: events, reply: reply, limit: limit, model: c.Model, tier: tierOf(reply), total: answer{body: c.Body}, counted: !wantsUsage(c.Body),
	}
}

// wantsUsage reports whether a body asks for the usage of a stream.
func wantsUsage(body []byte) (wants bool) {
	_, _ = rawjson.Object(body, func(key, value []byte) {
		if string(key) == "stream_options" {
			_, _ = rawjson.Object(value, func(key, value []byte) {
				if string(key) == "include_usage" {
					wants = string(value) == "true"
				}
			})
		}
	})
	return wants
}

// modelNames reads a list of models: AI Studio's.
func modelNames(raw []byte) (names []string) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		if string(key) != "models" {
			return
		}
		rawjson.Array(value, func(raw []byte) {
			_, _ = rawjson.Object(raw, func(key, value []byte) {
				if string(key) == "name" {
					names = append(names, string(bytes.TrimPrefix(translate.Inner(value), []byte("models/"))))
				}
			})
		})
	})
	return names
}
