package openai

import (
	"bytes"
	"strconv"

	"pelton/internal/rawjson"
)

// responseMerger follows the typed events of the Responses API. Its last event
// holds the whole answer; what came piece by piece is kept for the case that it
// does not come.
type responseMerger struct {
	begun, whole []byte // the response as it began, and as it ended
	items        []*outputItem
}

// outputItem is one member of "output".
type outputItem struct {
	index int
	raw   []byte // as it was added, or as it is done
	done  bool
	texts []*textPart
}

// textPart is a text of an item, as it is written.
type textPart struct {
	index int
	kind  string // output_text, refusal, …
	text  []byte
}

func (r *responseMerger) any() bool { return r.begun != nil || r.whole != nil || len(r.items) > 0 }

func (r *responseMerger) unfinished() string {
	if r.whole == nil {
		return "the stream ended before the answer did: it brought no response.completed"
	}
	return ""
}

// addEvent merges one event of the Responses API.
func (m *Merger) addEvent(data []byte) bool {
	r := &m.response
	var kind, response, item, delta []byte
	output, content := 0, 0
	object, _ := rawjson.Object(data, func(key, value []byte) {
		switch string(key) {
		case "type":
			kind = value
		case "response":
			response = value
		case "item":
			item = value
		case "delta":
			delta = value
		case "output_index":
			output, _ = strconv.Atoi(string(value))
		case "content_index":
			content, _ = strconv.Atoi(string(value))
		}
	})
	if !object {
		return false
	}
	name := rawjson.Text(kind)
	switch name {
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		r.whole = append(r.whole[:0], response...)
		m.size += int64(len(response))
	case "response.created", "response.in_progress", "response.queued":
		r.begun = append(r.begun[:0], response...)
	case "response.output_item.added", "response.output_item.done":
		m.addItem(output, item, name == "response.output_item.done")
	case "response.output_text.delta", "response.refusal.delta":
		m.addText(output, content, name, delta)
	default:
		// Arguments, reasoning, audio and what there is yet to come.
		m.grew = len(delta) > 2 && bytes.HasSuffix([]byte(name), []byte(".delta"))
	}
	return true
}

func (m *Merger) item(index int) *outputItem {
	for _, item := range m.response.items {
		if item.index == index {
			return item
		}
	}
	if len(m.response.items) >= mostKids {
		m.size = m.limit + 1
		return nil
	}
	item := &outputItem{index: index}
	m.response.items = append(m.response.items, item)
	m.size += nodeSize
	return item
}

func (m *Merger) addItem(index int, raw []byte, done bool) {
	if item := m.item(index); item != nil && raw != nil {
		item.raw, item.done = append(item.raw[:0], raw...), done
		m.size += int64(len(raw))
	}
}

func (m *Merger) addText(output, content int, name string, delta []byte) {
	item := m.item(output)
	if item == nil || len(delta) < 2 || delta[0] != '"' {
		return
	}
	m.grew = len(delta) > 2
	m.size += int64(len(delta))
	for _, part := range item.texts {
		if part.index == content {
			part.text = append(part.text, unquoted(delta)...)
			return
		}
	}
	if len(item.texts) >= mostKids {
		m.size = m.limit + 1
		return
	}
	kind := "output_text"
	if name == "response.refusal.delta" {
		kind = "refusal"
	}
	item.texts = append(item.texts, &textPart{index: content, kind: kind, text: bytes.Clone(unquoted(delta))})
	m.size += nodeSize
}

// render returns the response as it ended, else as far as it came.
func (r *responseMerger) render(m *Merger) []byte {
	outline := r.whole
	if outline == nil {
		outline = r.begun
	}
	if outline == nil {
		outline = []byte(`{"object":"response","status":"in_progress"}`)
	}
	if r.whole != nil && (len(r.items) == 0 || hasOutput(r.whole)) {
		return bytes.Clone(r.whole)
	}
	out := append(make([]byte, 0, m.size+256), '{')
	_, _ = rawjson.Object(outline, func(key, value []byte) {
		if string(key) != "output" {
			out = append(append(append(append(comma(out), '"'), key...), `":`...), value...)
		}
	})
	out = append(comma(out), `"output":[`...)
	for _, item := range r.items {
		out = item.render(comma(out))
	}
	return append(out, "]}"...)
}

func hasOutput(response []byte) (has bool) {
	_, _ = rawjson.Object(response, func(key, value []byte) {
		if string(key) == "output" {
			has = arrayOf(value).any
		}
	})
	return has
}

func (item *outputItem) render(out []byte) []byte {
	if item.done || len(item.texts) == 0 {
		if item.raw == nil {
			return append(out, "{}"...)
		}
		return append(out, item.raw...)
	}
	out = append(out, '{')
	if item.raw == nil {
		out = append(out, `"type":"message","role":"assistant"`...)
	}
	_, _ = rawjson.Object(item.raw, func(key, value []byte) {
		if string(key) != "content" {
			out = append(append(append(append(comma(out), '"'), key...), `":`...), value...)
		}
	})
	out = append(comma(out), `"content":[`...)
	for _, part := range item.texts {
		field := "text"
		if part.kind == "refusal" {
			field = "refusal"
		}
		out = append(append(append(comma(out), `{"type":"`...), part.kind...), `","`...)
		out = append(append(append(out, field...), `":"`...), part.text...)
		out = append(out, `"}`...)
	}
	return append(out, "]}"...)
}
