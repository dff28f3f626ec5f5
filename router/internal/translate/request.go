package translate

import "pelton/internal/rawjson"

// Message is what counts of one message of OpenAI's form, each member as it is
// written; nil: it is not there, or null. The zero value has none.
type Message struct {
	Role, Content, Refusal, Calls, Call, ID, Name []byte

	Blocks, Thoughts []byte // of LiteLLM's: thinking_blocks and reasoning_content
	Cache            []byte // Anthropic's cache_control
	Plan, Citations  []byte // Cohere's tool_plan and citations
}

// Is reports whether the message is of that role.
func (m *Message) Is(role string) bool { return string(Inner(m.Role)) == role }

// Take takes in a member.
func (m *Message) Take(key, value []byte) {
	if rawjson.IsNull(value) {
		return
	}
	switch string(key) {
	case "role":
		m.Role = value
	case "content":
		m.Content = value
	case "refusal":
		m.Refusal = value
	case "tool_calls":
		m.Calls = value
	case "function_call":
		m.Call = value
	case "tool_call_id":
		m.ID = value
	case "name":
		m.Name = value
	case "thinking_blocks":
		m.Blocks = value
	case "reasoning_content":
		m.Thoughts = value
	case "cache_control":
		m.Cache = value
	case "tool_plan":
		m.Plan = value
	case "citations":
		m.Citations = value
	}
}

// Tool is a tool of OpenAI's form, each member as it is written.
type Tool struct {
	Kind, Function                        []byte // its type, and the function that it is
	Name, Description, Parameters, Strict []byte // of the function
	Cache                                 []byte // Anthropic's cache_control, of the function or else of the tool
}

// ReadTool reads a tool and its function.
func ReadTool(raw []byte) (t Tool) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "type":
			t.Kind = value
		case "function":
			t.Function = value
		case "cache_control":
			t.Cache = value
		}
	})
	if t.Function != nil {
		t.ReadFunction(t.Function)
	}
	return t
}

// ReadFunction takes in what a function says of itself.
func (t *Tool) ReadFunction(raw []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "name":
			t.Name = value
		case "description":
			t.Description = value
		case "parameters":
			t.Parameters = value
		case "strict":
			t.Strict = value
		case "cache_control":
			t.Cache = value
		}
	})
}

// Call is a call of a tool in an assistant's message, each member as it is written.
type Call struct{ ID, Function, Kind []byte }

// ReadCall reads a call.
func ReadCall(raw []byte) (c Call) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "id":
			c.ID = value
		case "function":
			c.Function = value
		case "type":
			c.Kind = value
		}
	})
	return c
}

// ReadCalled reads which function is called, and with which arguments, a text.
func ReadCalled(raw []byte) (name, arguments []byte) {
	_, _ = rawjson.Object(raw, func(key, value []byte) {
		switch string(key) {
		case "name":
			name = value
		case "arguments":
			arguments = value
		}
	})
	return name, arguments
}
