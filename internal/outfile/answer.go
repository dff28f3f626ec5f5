package outfile

import (
	"bytes"
	"encoding/json"
	"strings"

	"pelton/schema"
)

// appendAnswer appends the answer alone, on one line: see the package comment.
func appendAnswer(dst []byte, r *schema.Result) []byte {
	if r.Status == schema.StatusSucceeded && r.Response != nil {
		dst = append(dst, escape.Replace(Answer(r.Response.Body))...)
	}
	return append(dst, '\n')
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

// Answer returns the text that a response's body gives as its answer: of chat
// and plain completions the first choice, of the responses endpoint all output
// text. Tool calls are returned as JSON, and so is a body that has no text, as
// that of embeddings.
func Answer(body []byte) string {
	var b struct {
		Choices []struct {
			Message *struct {
				Content   json.RawMessage `json:"content"`
				Refusal   string          `json:"refusal"`
				ToolCalls json.RawMessage `json:"tool_calls"`
			} `json:"message"`
			Text *string `json:"text"`
		} `json:"choices"`
		OutputText string `json:"output_text"`
		Output     []struct {
			Content json.RawMessage `json:"content"`
		} `json:"output"`
	}
	_ = json.Unmarshal(body, &b) // what does not fit stays empty
	if len(b.Choices) > 0 {
		choice := b.Choices[0]
		if choice.Text != nil {
			return *choice.Text
		}
		if m := choice.Message; m != nil {
			if text, ok := contentText(m.Content); ok && (text != "" || len(m.ToolCalls) == 0) {
				return text
			}
			if len(m.ToolCalls) > 0 && string(m.ToolCalls) != "null" {
				return compactJSON(m.ToolCalls)
			}
			return m.Refusal
		}
	}
	if b.OutputText != "" {
		return b.OutputText
	}
	var all strings.Builder
	found := false
	for _, item := range b.Output {
		if text, ok := contentText(item.Content); ok {
			all.WriteString(text)
			found = true
		}
	}
	if found {
		return all.String()
	}
	return compactJSON(body)
}

// contentText reads a string, or the text of a list of parts.
func contentText(raw json.RawMessage) (string, bool) {
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var parts []struct {
		Text *string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return "", false
	}
	found := false
	for _, part := range parts {
		if part.Text != nil {
			text += *part.Text
			found = true
		}
	}
	return text, found
}

func compactJSON(raw []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}
