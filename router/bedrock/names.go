package bedrock

import "bytes"

// toolNames are the names by which a request calls tools.
type toolNames struct {
	called  [][]byte  // names in the history, as they are written
	renamed []renamed // tools that have another name there
}

// renamed is a tool's name in the request, and the one that was sent.
type renamed struct{ name, sent string }

// append appends a tool's name. Converse takes fewer characters than others do:
// one that does not fit gets another name, which the answer's reader turns back.
func (n *toolNames) append(out, raw []byte) []byte {
	name := plain(raw)
	if fits(name, nameChars) {
		return append(append(append(out, '"'), name...), '"')
	}
	sent := fitted(name, nameChars)
	known := false
	for _, other := range n.renamed {
		known = known || other.sent == sent
	}
	if !known {
		n.renamed = append(n.renamed, renamed{string(name), sent})
	}
	return append(append(append(out, '"'), sent...), '"')
}

// remember keeps the name of a tool that was called.
func (n *toolNames) remember(name []byte) {
	for _, known := range n.called {
		if bytes.Equal(known, name) {
			return
		}
	}
	n.called = append(n.called, name)
}

// original is the name in the request of a tool that the server calls by name.
func (n *note) original(name []byte) (string, bool) {
	for _, known := range n.renamed {
		if known.sent == string(name) {
			return known.name, true
		}
	}
	return "", false
}
