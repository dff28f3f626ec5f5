package bedrock

import (
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/anthropic"
	"pelton/router/internal/translate"
)

// thinkingParams is what a body says of thinking.
type thinkingParams struct{ effort, thinking, output []byte }

// thinking notes how much the model is to think.
type thinking struct {
	translate.Refusals
	model
	thinkingParams
	extras extras
	bound  []byte // maxTokens
	on     bool   // the model is told to think
}

// note notes how much the model is to think, each family in its own words, and
// what bound on the answer that takes.
func (t *thinking) note() {
	switch t.family {
	case claude:
		t.noteClaude()
	default:
		t.noteEffort()
		if t.thinking != nil {
			t.extras.add("thinking", t.thinking)
		}
		if t.output != nil {
			t.extras.add("output_config", t.output)
		}
	}
}

// noteClaude notes it for models of Anthropic's.
func (t *thinking) noteClaude() {
	if t.effort == nil && t.thinking == nil && t.output == nil {
		return
	}
	own := anthropic.Thinking{Thinking: t.thinking, Effort: t.effort, Output: t.output}
	own.MaxTokens, _ = strconv.Atoi(string(t.bound))
	members, err := own.Append([]byte("{"), t.name, t.Drop)
	if err != nil && t.Err == nil {
		t.Err = err
	}
	if len(members) > 1 {
		if members[1] == ',' {
			members = append([]byte("{"), members[2:]...)
		}
		members = append(members, '}')
		_, _ = rawjson.Object(members, func(key, value []byte) { t.extras.add(string(key), value) })
	}
	if t.on = own.Ponders; own.Budget > 0 && t.bound == nil { // an answer needs room behind the thoughts
		t.bound = strconv.AppendInt(nil, int64(own.Budget+4096), 10)
	}
}

// noteEffort notes the effort for models that are not Anthropic's.
func (t *thinking) noteEffort() {
	level := string(t.effort)
	switch {
	case t.effort == nil:
	case t.family == gptOSS && (level == `"low"` || level == `"medium"` || level == `"high"`):
		t.extras.add("reasoning_effort", t.effort)
	case t.family == nova2:
		switch level {
		case `"none"`:
			t.extras.add("reasoningConfig", []byte(`{"type":"disabled"}`))
			return
		case `"minimal"`:
			level = `"low"`
		case `"low"`, `"medium"`, `"high"`:
		default:
			t.LeaveOut("reasoning_effort", "the model "+t.name+" does not know the value "+rawjson.Text(t.effort))
			return
		}
		t.extras.add("reasoningConfig", []byte(`{"type":"enabled","maxReasoningEffort":`+level+`}`))
	case t.family == nova && level == `"none"`: // it does not think
	case t.family == gptOSS:
		t.LeaveOut("reasoning_effort", "the model "+t.name+" does not know the value "+rawjson.Text(t.effort))
	default:
		t.LeaveOut("reasoning_effort", "nothing is known of how "+t.name+" is told; additionalModelRequestFields goes to the model as it is")
	}
}
