package bedrock

import (
	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// extras are members for the model itself.
type extras []extra

type extra struct {
	key   string
	value []byte
}

func (e *extras) add(key string, value []byte) { *e = append(*e, extra{key, value}) }

// appendExtras appends what goes to the model itself, past Converse.
func (r *request) appendExtras(out []byte, thinks bool) []byte {
	if r.paths != nil {
		out = translate.AppendMember(out, "additionalModelResponseFieldPaths", r.paths)
	} else if thinks && r.family == claude {
		out = append(translate.Comma(out), `"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]`...)
	}
	if len(r.extras) == 0 && r.additional == nil {
		return out
	}
	out = append(translate.Comma(out), `"additionalModelRequestFields":{`...)
	own := map[string]bool{}
	_, _ = rawjson.Object(r.additional, func(key, value []byte) {
		own[string(key)] = true
		out = translate.AppendMember(out, key, value)
	})
	for _, e := range r.extras {
		if own[e.key] {
			r.Fail("additionalModelRequestFields", "additionalModelRequestFields."+e.key+": the body's own parameters say it, too; keep one")
		}
		out = translate.AppendMember(out, e.key, e.value)
	}
	return append(out, '}')
}
