package schema

import (
	"encoding/json"
	"strings"
)

// DeltaText returns what a person reads of a chunk of a streamed answer: the
// content of its first choice, or its refusal; "" for anything else. It knows
// the chunks of chat completions, completions and responses.
func DeltaText(chunk []byte) string {
	type said struct {
		Content json.RawMessage `json:"content"`
		Refusal string          `json:"refusal"`
	}
	var c struct {
		Type    string          `json:"type"`
		Delta   json.RawMessage `json:"delta"`
		Choices []struct {
			Index   int    `json:"index"`
			Text    string `json:"text"`
			Delta   said   `json:"delta"`
			Message said   `json:"message"`
		} `json:"choices"`
	}
	_ = json.Unmarshal(chunk, &c) // a field of another type is left out
	switch {
	case c.Type == "response.output_text.delta", c.Type == "response.refusal.delta":
		return textOf(c.Delta)
	case strings.HasPrefix(c.Type, "response."):
		return ""
	}
	for _, choice := range c.Choices {
		if choice.Index == 0 {
			return textOf(choice.Delta.Content) + choice.Delta.Refusal + textOf(choice.Message.Content) + choice.Message.Refusal + choice.Text
		}
	}
	return ""
}

// textOf is a JSON string's text, "" for anything else.
func textOf(raw []byte) string {
	var text string
	_ = json.Unmarshal(raw, &text)
	return text
}
