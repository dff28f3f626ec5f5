package faultyllm

import (
	"strconv"

	"pelton/internal/rawjson"
)

// request is what the server looks at in a body. The values are raw JSON and
// share memory with it.
type request struct {
	model        []byte
	subject      []byte // messages, prompt or input
	mock         []byte
	dimensions   []byte
	maxTokens    []byte
	temperature  []byte
	tools        []byte
	toolChoice   []byte
	stream       bool
	includeUsage bool
	base64       bool
}

// parse reads body, whose question stands in the field subject, and reports
// whether it is one JSON object.
func (q *request) parse(body []byte, subject string) bool {
	object, _ := rawjson.Object(body, func(key, value []byte) {
		switch string(key) {
		case "model":
			q.model = value
		case "stream":
			q.stream = string(value) == "true"
		case "stream_options":
			q.includeUsage = false
			rawjson.Object(value, func(key, value []byte) {
				if string(key) == "include_usage" {
					q.includeUsage = string(value) == "true"
				}
			})
		case "dimensions":
			q.dimensions = value
		case "max_tokens":
			q.maxTokens = value
		case "temperature":
			q.temperature = value
		case "tools":
			q.tools = value
		case "tool_choice":
			q.toolChoice = value
		case "encoding_format":
			q.base64 = string(value) == `"base64"`
		case "mock":
			q.mock = value
		case subject:
			q.subject = value
		}
	})
	return object
}

// stringText is the text of a string value. Without escapes it shares memory with
// v.
func stringText(v []byte) []byte { return rawjson.Key(v[1 : len(v)-1]) }

// modelName is the decoded model, empty when it is missing or no string.
func (q *request) modelName() []byte {
	if !rawjson.IsString(q.model) {
		return nil
	}
	return stringText(q.model)
}

// size is how long embedding vectors are to be; ok is false when the request
// asks for nonsense.
func (q *request) size(def int) (n int, ok bool) {
	if rawjson.IsNull(q.dimensions) {
		return def, true
	}
	n, err := strconv.Atoi(string(q.dimensions))
	return n, err == nil && n >= 1 && n <= maxDimensions
}

// items are the elements of a subject that may be one thing or a list: a
// string, a list of strings, a list of tokens, a list of lists of tokens.
func (q *request) items(into [][]byte) [][]byte {
	if !rawjson.IsArray(q.subject) {
		return append(into, q.subject)
	}
	list := true
	rawjson.Array(q.subject, func(v []byte) {
		if list = list && (rawjson.IsString(v) || rawjson.IsArray(v) || rawjson.IsObject(v)); list {
			into = append(into, v)
		}
	})
	if !list { // tokens: the whole list is one input
		return append(into[:0], q.subject)
	}
	return into
}

// lastUser appends the text of the last message of the user to into. The
// subject is a string, or a list of messages whose content is a string or a
// list of parts.
func (q *request) lastUser(into []byte) []byte {
	if rawjson.IsString(q.subject) {
		return rawjson.AppendText(into, q.subject)
	}
	if !rawjson.IsArray(q.subject) {
		return into
	}
	var last []byte
	rawjson.Array(q.subject, func(message []byte) {
		var user bool
		var content []byte
		rawjson.Object(message, func(key, value []byte) {
			switch string(key) {
			case "role":
				user = string(value) == `"user"`
			case "content":
				content = value
			}
		})
		if user {
			last = content
		}
	})
	if rawjson.IsString(last) {
		return rawjson.AppendText(into, last)
	}
	if rawjson.IsArray(last) {
		rawjson.Array(last, func(part []byte) {
			rawjson.Object(part, func(key, value []byte) {
				if string(key) == "text" && rawjson.IsString(value) {
					into = rawjson.AppendText(into, value)
				}
			})
		})
	}
	return into
}
