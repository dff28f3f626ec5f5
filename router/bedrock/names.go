package bedrock

import "pelton/router/internal/translate"

// toolNames are the names by which a request calls tools.
type toolNames struct{ translate.Names }

// append appends a tool's name. Converse takes fewer characters than others do:
// one that does not fit gets another name, which the answer's reader turns back.
func (n *toolNames) append(out, raw []byte) []byte {
	name := translate.Plain(raw)
	if fits(name, nameChars) {
		return append(append(append(out, '"'), name...), '"')
	}
	sent := fitted(name, nameChars)
	n.Rename(string(name), sent)
	return append(append(append(out, '"'), sent...), '"')
}
