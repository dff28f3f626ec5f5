package anthropic

import (
	"math"

	"pelton/router/internal/translate"
	"pelton/router/protocol"
)

// Claude is what the name of a model of Anthropic's says of it, for protocols
// that carry such a model in another way than by Messages.
type Claude struct{ known model }

// ClaudeOf reads a model's name. A name that says nothing gives the newest.
func ClaudeOf(name string) Claude { return Claude{modelOf(name)} }

// Structured reports whether answers take a schema's form by the model's own means.
func (c Claude) Structured() bool { return c.known.schema }

// Samples reports whether the model takes temperature, top_p and top_k.
func (c Claude) Samples() bool { return c.known.sampling }

// Thinking is how much a model is to think, as members of a body, each as it is
// written; nil: none.
type Thinking struct {
	Thinking, Effort, Output []byte // thinking, reasoning_effort, output_config
	MaxTokens                int    // 0: none is given

	Ponders bool // the model is told to think
	Budget  int  // with how many tokens, where it counts them; 0: it does not
}

// Append appends the members of Messages that say the same, each with a comma
// before it, and fills in what came of it. drop leaves out what the model has no
// place for. out must not be empty.
func (t *Thinking) Append(out []byte, model string, drop protocol.Drop) ([]byte, error) {
	w := thinking{Refusals: translate.Refusals{Server: server, Drop: drop}, model: modelOf(model), bound: t.MaxTokens}
	w.name = model
	w.thinking, w.effort, w.output = t.Thinking, t.Effort, t.Output
	if w.bound == 0 {
		w.bound = math.MaxInt32
	}
	out = w.append(out)
	if t.Ponders = w.on; w.on {
		t.Budget = w.budget(&w.model)
	}
	return out, w.Err
}

// AppendSchema appends a schema in the form that structured answers take: what
// lies outside of it stands in descriptions. The error is for a schema that
// cannot be said in it.
func AppendSchema(out, raw []byte) ([]byte, error) {
	var a answerSchema
	if out = a.append(out, raw); a.open {
		return out, protocol.Unsupported(server, "response_format", "Anthropic takes no schema with additionalProperties: name the properties, and set additionalProperties to false")
	}
	return out, nil
}
