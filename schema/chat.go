package schema

import "encoding/json"

// Message is one turn of a conversation, text only. For images, tools and all
// else that a body can hold, write the body's JSON.
type Message struct {
	Role    string // "system", "user" or "assistant", or what else the model knows
	Content string
}

// System is what the model is told about its task.
func System(content string) Message { return Message{"system", content} }

// User is what the model is asked.
func User(content string) Message { return Message{"user", content} }

// Assistant is what the model has answered before.
func Assistant(content string) Message { return Message{"assistant", content} }

// Chat is a request to [ChatCompletions]. Further parameters come from the
// job's Defaults, or from [SetField] on its Body. An empty model is left out,
// so that the one of the job's Defaults counts.
func Chat(model string, messages ...Message) Request {
	body := []byte{'{'}
	if model != "" {
		body = append(appendString(append(body, `"model":`...), model), ',')
	}
	body = append(body, `"messages":[`...)
	for i, m := range messages {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendString(append(body, `{"role":`...), m.Role)
		body = append(appendString(append(body, `,"content":`...), m.Content), '}')
	}
	return Request{Body: json.RawMessage(append(body, "]}"...))}
}
