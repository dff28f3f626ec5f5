package bedrock

import "pelton/internal/rawjson"

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
		out = appendMember(out, "additionalModelResponseFieldPaths", r.paths)
	} else if thinks && r.family == claude {
		out = append(comma(out), `"additionalModelResponseFieldPaths":["/usage/output_tokens_details"]`...)
	}
	if len(r.extras) == 0 && r.additional == nil {
		return out
	}
	out = append(comma(out), `"additionalModelRequestFields":{`...)
	own := map[string]bool{}
	_, _ = rawjson.Object(r.additional, func(key, value []byte) {
		own[string(key)] = true
		out = appendMember(out, key, value)
	})
	for _, e := range r.extras {
		if own[e.key] {
			r.fail("additionalModelRequestFields", "additionalModelRequestFields."+e.key+": the body's own parameters say it, too; keep one")
		}
		out = appendMember(out, e.key, e.value)
	}
	return append(out, '}')
}
