package faultyllm

import "strconv"

// request is what the server looks at in a body. The values are raw JSON and
// share memory with it.
type request struct {
	model        []byte
	subject      []byte // messages, prompt or input
	mock         []byte
	dimensions   []byte
	stream       bool
	includeUsage bool
	base64       bool
}

// parse reads body, whose question stands in the field subject, and reports
// whether it is one JSON object.
func (q *request) parse(body []byte, subject string) bool {
	i := jsonSpace(body, 0)
	if i >= len(body) || body[i] != '{' {
		return false
	}
	end := jsonObject(body, i, 0, func(key, value []byte) {
		switch string(key) {
		case "model":
			q.model = value
		case "stream":
			q.stream = string(value) == "true"
		case "stream_options":
			q.includeUsage = false
			if isObject(value) {
				jsonObject(value, 0, 0, func(key, value []byte) {
					if string(key) == "include_usage" {
						q.includeUsage = string(value) == "true"
					}
				})
			}
		case "dimensions":
			q.dimensions = value
		case "encoding_format":
			q.base64 = string(value) == `"base64"`
		case "mock":
			q.mock = value
		case subject:
			q.subject = value
		}
	})
	return end >= 0 && jsonSpace(body, end) == len(body)
}

// modelName is the decoded model, empty when it is missing or no string.
func (q *request) modelName() []byte {
	if !isString(q.model) {
		return nil
	}
	return stringText(q.model)
}

// size is how long embedding vectors are to be; ok is false when the request
// asks for nonsense.
func (q *request) size(def int) (n int, ok bool) {
	if len(q.dimensions) == 0 || string(q.dimensions) == "null" {
		return def, true
	}
	n, err := strconv.Atoi(string(q.dimensions))
	return n, err == nil && n >= 1 && n <= maxDimensions
}

// items are the elements of a subject that may be one thing or a list: a
// string, a list of strings, a list of tokens, a list of lists of tokens.
func (q *request) items(into [][]byte) [][]byte {
	if !isArray(q.subject) {
		return append(into, q.subject)
	}
	list := true
	jsonArray(q.subject, 0, 0, func(v []byte) {
		if list = list && (isString(v) || isArray(v) || isObject(v)); list {
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
	if isString(q.subject) {
		return append(into, stringText(q.subject)...)
	}
	if !isArray(q.subject) {
		return into
	}
	var last []byte
	jsonArray(q.subject, 0, 0, func(message []byte) {
		if !isObject(message) {
			return
		}
		var user bool
		var content []byte
		jsonObject(message, 0, 0, func(key, value []byte) {
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
	if isString(last) {
		return append(into, stringText(last)...)
	}
	if isArray(last) {
		jsonArray(last, 0, 0, func(part []byte) {
			if !isObject(part) {
				return
			}
			jsonObject(part, 0, 0, func(key, value []byte) {
				if string(key) == "text" && isString(value) {
					into = append(into, stringText(value)...)
				}
			})
		})
	}
	return into
}
