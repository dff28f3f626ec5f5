package telemetry

import (
	"encoding/json"

	"go.opentelemetry.io/otel/attribute"

	"pelton/schema"
)

// maxContent bounds what of a prompt or an answer goes with a span; what is
// longer is left out whole, since half of it would be no JSON.
const maxContent = 64 << 10

// message is one in the form of the GenAI conventions.
type message struct {
	Role   string `json:"role"`
	Parts  []part `json:"parts"`
	Finish string `json:"finish_reason,omitempty"`
}

type part struct {
	Type    string          `json:"type"`
	Content json.RawMessage `json:"content"`
}

// answered reads who answered and why it ended, nothing of what it said.
func answered(body []byte) []attribute.KeyValue {
	var list []attribute.KeyValue
	if id, ok := schema.StringField(body, "id"); ok && id != "" {
		list = append(list, attribute.String(attrGenID, id))
	}
	if model, ok := schema.StringField(body, "model"); ok && model != "" {
		list = append(list, attribute.String(attrGenAnswered, model))
	}
	var chat struct {
		Choices []struct {
			Finish string `json:"finish_reason"`
		} `json:"choices"`
	}
	if json.Unmarshal(body, &chat) == nil {
		var reasons []string
		for _, c := range chat.Choices {
			if c.Finish != "" {
				reasons = append(reasons, c.Finish)
			}
		}
		if reasons != nil {
			list = append(list, attribute.StringSlice(attrGenFinish, reasons))
		}
	}
	return list
}

// prompt is what a body asks: the messages of a chat, else the input or prompt.
func prompt(body []byte) []attribute.KeyValue {
	var b struct {
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
		Input  json.RawMessage `json:"input"`
		Prompt json.RawMessage `json:"prompt"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	var list []message
	for _, m := range b.Messages {
		list = append(list, message{Role: m.Role, Parts: text(m.Content)})
	}
	for _, other := range []json.RawMessage{b.Input, b.Prompt} {
		if len(other) > 0 {
			list = append(list, message{Role: "user", Parts: text(other)})
		}
	}
	return messages(attrGenMessagesIn, list)
}

// completion is what a body answers.
func completion(body []byte) []attribute.KeyValue {
	var b struct {
		Choices []struct {
			Message struct {
				Role    string          `json:"role"`
				Content json.RawMessage `json:"content"`
			} `json:"message"`
			Text   json.RawMessage `json:"text"`
			Finish string          `json:"finish_reason"`
		} `json:"choices"`
		Output json.RawMessage `json:"output"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	var list []message
	for _, c := range b.Choices {
		content := c.Message.Content
		if len(content) == 0 {
			content = c.Text
		}
		list = append(list, message{Role: "assistant", Parts: text(content), Finish: c.Finish})
	}
	if len(b.Output) > 0 {
		list = append(list, message{Role: "assistant", Parts: text(b.Output)})
	}
	return messages(attrGenMessagesOut, list)
}

// text is content as parts: as it is, a string or whatever the endpoint takes.
func text(content json.RawMessage) []part {
	if len(content) == 0 || string(content) == "null" {
		return []part{}
	}
	return []part{{Type: "text", Content: content}}
}

func messages(name string, list []message) []attribute.KeyValue {
	if len(list) == 0 {
		return nil
	}
	data, err := json.Marshal(list)
	if err != nil || len(data) > maxContent {
		return nil
	}
	return []attribute.KeyValue{attribute.String(name, string(data))}
}
