package translate

import (
	"bytes"
	"strconv"
)

// Chunks makes chunks of OpenAI's form of an answer that comes piece by piece, and
// adds the pieces up in Made. A chunk is good until the next is made. One
// goroutine uses it.
type Chunks struct {
	Made Answer
	Size int64 // about what is held, in bytes
	Grew bool  // a piece of content came; whoever reads the next event resets it

	at     []int // the block of each index of the server's; -1: none yet
	number []int // of each block that is one of the reader's calls; -1: it is none
	calls  int
	head   []byte
	buf    []byte
	role   bool // it was told who speaks
}

// mostBlocks bounds the blocks of one answer; blockSize is what one takes besides
// its text.
const (
	mostBlocks = 4096
	blockSize  = 256
)

// Block is the block of an index, which is begun where it is new; nil beyond the
// bound on blocks. It is good until another is begun.
func (c *Chunks) Block(index int) *Block {
	if index < 0 || index >= mostBlocks {
		return nil
	}
	for len(c.at) <= index {
		c.at, c.number = append(c.at, -1), append(c.number, -1)
	}
	if c.at[index] < 0 {
		c.Size += blockSize
		c.at[index] = len(c.Made.Blocks)
		c.Made.Blocks = append(c.Made.Blocks, Block{})
	}
	return &c.Made.Blocks[c.at[index]]
}

// Has reports whether the block of an index was begun.
func (c *Chunks) Has(index int) bool { return index >= 0 && index < len(c.at) && c.at[index] >= 0 }

// Text adds a piece of text to a block.
func (c *Chunks) Text(b *Block, text []byte) []byte {
	c.grow(len(text))
	b.Kind, b.Text = TextBlock, append(b.Text, text...)
	return c.content(text)
}

// content is a chunk with a piece of the answer's text.
func (c *Chunks) content(text []byte) []byte {
	out := append(append(AppendKey(c.Begin(), "content"), '"'), text...)
	return c.End(append(out, '"'))
}

func (c *Chunks) grow(n int) {
	c.Grew = true
	c.Size += int64(n)
}

// Thought adds a piece of thinking to the block of an index.
func (c *Chunks) Thought(index int, text []byte) []byte {
	b := c.Block(index)
	if b == nil {
		return nil
	}
	c.grow(len(text))
	b.Kind, b.Text = ThinkingBlock, append(b.Text, text...)
	out := append(append(AppendKey(c.Begin(), "reasoning_content"), '"'), text...)
	out = append(append(out, `","thinking_blocks":[{"type":"thinking","thinking":"`...), text...)
	return c.thought(out, index)
}

// Signature adds a piece of the signature of thinking.
func (c *Chunks) Signature(index int, text []byte) []byte {
	b := c.Block(index)
	if b == nil {
		return nil
	}
	c.grow(len(text))
	b.Kind, b.Signature = ThinkingBlock, append(b.Signature, text...)
	out := append(AppendKey(c.Begin(), "thinking_blocks"), `[{"type":"thinking","thinking":"","signature":"`...)
	return c.thought(append(out, text...), index)
}

// Hidden adds a piece of thinking that is hidden.
func (c *Chunks) Hidden(index int, text []byte) []byte {
	b := c.Block(index)
	if b == nil {
		return nil
	}
	c.grow(len(text))
	b.Kind, b.Hidden = HiddenBlock, append(b.Hidden, text...)
	out := append(AppendKey(c.Begin(), "thinking_blocks"), `[{"type":"redacted_thinking","data":"`...)
	return c.thought(append(out, text...), index)
}

// thought ends a chunk of thinking. The index joins its pieces.
func (c *Chunks) thought(out []byte, index int) []byte {
	out = strconv.AppendInt(append(out, `","index":`...), int64(index), 10)
	return c.End(append(out, `}]`...))
}

// Call begins a call: the block of an index, which has its id, its name, and what
// came of its arguments so far.
func (c *Chunks) Call(index int) []byte {
	b := c.Block(index)
	if b == nil || c.Made.schemaCall(b) {
		return nil
	}
	c.Grew = true
	c.number[index] = c.calls
	c.calls++
	out := c.Made.appendCallHead(c.beginCall(index), b)
	out = append(append(out, `,"arguments":"`...), b.Arguments...)
	return c.End(append(out, `"}}]`...))
}

// beginCall begins a chunk with a piece of a call.
func (c *Chunks) beginCall(index int) []byte {
	out := append(AppendKey(c.Begin(), "tool_calls"), `[{"index":`...)
	return append(strconv.AppendInt(out, int64(c.number[index]), 10), ',')
}

// Argument adds a piece of the arguments of the call of an index; there is no
// chunk for those of a tool of the server's own.
func (c *Chunks) Argument(index int, piece []byte) []byte {
	b := c.Block(index)
	if b == nil || len(piece) == 0 {
		return nil
	}
	c.grow(len(piece))
	b.Arguments = append(b.Arguments, piece...)
	return c.argument(index, b, piece)
}

func (c *Chunks) argument(index int, b *Block, piece []byte) []byte {
	switch {
	case c.number[index] >= 0:
		out := append(append(c.beginCall(index), `"function":{"arguments":"`...), piece...)
		return c.End(append(out, `"}}]`...))
	case c.Made.schemaCall(b):
		return c.content(piece)
	}
	return nil
}

// Close ends the block of an index. A call without arguments has an empty object
// for them, or what it was begun with.
func (c *Chunks) Close(index int) []byte {
	if !c.Has(index) {
		return nil
	}
	b := c.Block(index)
	if b.Kind != CallBlock || len(b.Arguments) > 0 {
		return nil
	}
	return c.argument(index, b, b.appendArguments(nil))
}

// Own is a chunk with what OpenAI's form has no place for, an object.
func (c *Chunks) Own(own []byte) []byte {
	return c.End(AppendMember(c.Begin(), "provider_specific_fields", own))
}

// Reason is the chunk with the reason of the end, with quotes, and what OpenAI's
// form has no place for; nil: nothing.
func (c *Chunks) Reason(reason string, own []byte) []byte {
	out := c.Begin()
	if own != nil {
		out = AppendMember(out, "provider_specific_fields", own)
	}
	c.buf = append(append(append(out, `},"finish_reason":`...), reason...), `}]}`...)
	return c.buf
}

// Usage is the chunk with the usage, which write appends.
func (c *Chunks) Usage(write func(out []byte) []byte) []byte {
	c.buf = append(write(append(c.start(), `],"usage":`...)), '}')
	return c.buf
}

// start is a chunk up to its choices. The answer's id is known by the first.
func (c *Chunks) start() []byte {
	if c.head == nil {
		c.head = c.Made.AppendHead(nil, "chat.completion.chunk")
	}
	return append(c.buf[:0], c.head...)
}

// Begin begins a chunk, up to the members of its delta; End ends it.
func (c *Chunks) Begin() []byte {
	out := append(c.start(), `{"index":0,"delta":{`...)
	if !c.role {
		c.role = true
		out = append(out, `"role":"assistant"`...)
	}
	return out
}

// With adds a member to the choice of a chunk that was made last.
func (c *Chunks) With(key string, value []byte) []byte {
	out := append(bytes.TrimSuffix(c.buf, []byte(unended)), ',', '"')
	out = append(append(append(out, key...), `":`...), value...)
	c.buf = append(out, unended...)
	return c.buf
}

// unended is the end of a chunk that is not the last.
const unended = `,"finish_reason":null}]}`

// End ends a chunk.
func (c *Chunks) End(out []byte) []byte {
	c.buf = append(append(out, '}'), unended...)
	return c.buf
}
