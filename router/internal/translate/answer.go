package translate

import (
	"slices"
	"strconv"
	"time"

	"pelton/internal/rawjson"
)

// Answer is a server's answer, whole or as far as it came, on its way into a chat
// completion.
type Answer struct {
	ID, Model []byte // with quotes; nil: not told
	Created   int64  // in seconds since 1970
	Blocks    []Block

	Renamed    []Renamed // tools that have another name with the server
	SchemaTool string    // the tool whose input is the answer's text; empty: there is none
}

// Block is a part of an answer's content.
type Block struct {
	Kind      Kind
	Text      []byte   // of a text or of thinking, without quotes
	Signature []byte   // of thinking, without quotes
	Hidden    []byte   // thinking that is hidden, without quotes
	ID, Name  []byte   // of a call, with quotes
	Input     []byte   // of a call: the object
	Arguments []byte   // the same as a text, where it came as one; without quotes
	Citations [][]byte // of a text
	Raw       []byte   // the block as it is written, where that counts
}

// Kind is what a [Block] is.
type Kind byte

// Kinds of blocks. The first is one that OpenAI's form has no place for.
const (
	OtherBlock Kind = iota
	TextBlock
	ThinkingBlock
	HiddenBlock
	CallBlock
)

// Unix is a time in seconds, 0 for none.
func Unix(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// Thinks reports whether the answer has thoughts that are not hidden.
func (a *Answer) Thinks() bool {
	return slices.ContainsFunc(a.Blocks, func(b Block) bool { return b.Kind == ThinkingBlock })
}

// schemaCall reports whether the block is the call that is the answer itself.
func (a *Answer) schemaCall(b *Block) bool {
	return a.SchemaTool != "" && b.Kind == CallBlock && string(Inner(b.Name)) == a.SchemaTool
}

// AppendHead appends a completion up to its choices.
func (a *Answer) AppendHead(out []byte, object string) []byte {
	out = AppendOr(append(out, `{"id":`...), a.ID)
	out = append(append(append(out, `,"object":"`...), object...), `","created":`...)
	out = strconv.AppendInt(out, a.Created, 10)
	out = AppendOr(append(out, `,"model":`...), a.Model)
	return append(out, `,"choices":[`...)
}

// AppendMessage appends a completion up to the end of the message's content, what
// was thought and the calls. Its braces are open.
func (a *Answer) AppendMessage(out []byte) []byte {
	out = a.AppendHead(out, "chat.completion")
	out = a.appendText(append(out, `{"index":0,"message":{"role":"assistant","content":`...))
	return a.appendCalls(a.appendThoughts(out))
}

// appendText appends the texts as one; null where there is none.
func (a *Answer) appendText(out []byte) []byte {
	start, some := len(out), false
	out = append(out, '"')
	for i := range a.Blocks {
		switch b := &a.Blocks[i]; {
		case b.Kind == TextBlock:
			out, some = append(out, b.Text...), true
		case a.schemaCall(b):
			out, some = b.appendArguments(out), true
		}
	}
	if !some {
		return append(out[:start], "null"...)
	}
	return append(out, '"')
}

// appendArguments appends a call's input as a text, without quotes.
func (b *Block) appendArguments(out []byte) []byte {
	switch {
	case len(b.Arguments) > 0:
		return append(out, b.Arguments...)
	case !rawjson.IsObject(b.Input):
		return append(out, "{}"...)
	}
	start := len(out)
	out = rawjson.AppendString(out, b.Input)
	copy(out[start:], out[start+1:len(out)-1])
	return out[:len(out)-2]
}

// appendThoughts appends what the model thought: as a text, and as the blocks that
// it has to get back in the next turn.
func (a *Answer) appendThoughts(out []byte) []byte {
	text, some := false, false
	for i := range a.Blocks {
		some = some || a.Blocks[i].Kind == ThinkingBlock || a.Blocks[i].Kind == HiddenBlock
		text = text || a.Blocks[i].Kind == ThinkingBlock
	}
	if !some {
		return out
	}
	if text {
		out = append(out, `,"reasoning_content":"`...)
		for i := range a.Blocks {
			if a.Blocks[i].Kind == ThinkingBlock {
				out = append(out, a.Blocks[i].Text...)
			}
		}
		out = append(out, '"')
	}
	out = append(out, `,"thinking_blocks":[`...)
	for i := range a.Blocks {
		switch b := &a.Blocks[i]; b.Kind {
		case ThinkingBlock:
			out = append(append(Comma(out), `{"type":"thinking","thinking":"`...), b.Text...)
			if out = append(out, '"'); b.Signature != nil {
				out = append(append(append(out, `,"signature":"`...), b.Signature...), '"')
			}
			out = append(out, '}')
		case HiddenBlock:
			out = append(append(append(Comma(out), `{"type":"redacted_thinking","data":"`...), b.Hidden...), `"}`...)
		}
	}
	return append(out, ']')
}

func (a *Answer) appendCalls(out []byte) []byte {
	some := false
	for i := range a.Blocks {
		b := &a.Blocks[i]
		if b.Kind != CallBlock || a.schemaCall(b) {
			continue
		}
		if !some {
			out, some = append(out, `,"tool_calls":[`...), true
		}
		out = a.appendCallHead(append(Comma(out), '{'), b)
		out = append(b.appendArguments(append(out, `,"arguments":"`...)), `"}}`...)
	}
	if some {
		out = append(out, ']')
	}
	return out
}

// appendCallHead appends a call up to its arguments, with the tool's name as the
// request has it.
func (a *Answer) appendCallHead(out []byte, b *Block) []byte {
	out = AppendOr(append(out, `"id":`...), b.ID)
	out = append(out, `,"type":"function","function":{"name":`...)
	for _, known := range a.Renamed {
		if known.Sent == string(Inner(b.Name)) {
			return rawjson.AppendString(out, known.Name)
		}
	}
	return AppendOr(out, b.Name)
}
