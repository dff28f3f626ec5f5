package anthropic

import (
	"bytes"
	"hash/fnv"
	"strconv"

	"pelton/internal/rawjson"
)

// toolNames are the names by which a request calls tools.
type toolNames struct {
	tools   []byte    // as they are written
	called  [][]byte  // names in the history, as they are written
	renamed []renamed // tools that have another name there
}

// renamed is a tool's name in the request, and the one that was sent.
type renamed struct{ name, sent string }

// append appends a tool's name. Anthropic takes fewer characters than others
// do: where one does not fit, it gets another name, which the answer's reader
// turns back.
func (n *toolNames) append(out, raw []byte) []byte {
	name := plain(raw)
	if safe(name) && len(name) <= maxName {
		return append(append(append(out, '"'), name...), '"')
	}
	return append(append(append(out, '"'), n.rename(string(name))...), '"')
}

// maxName is the length of a tool's name that every way to Anthropic takes.
const maxName = 64

func (n *toolNames) rename(name string) string {
	for _, known := range n.renamed {
		if known.name == name {
			return known.sent
		}
	}
	sent := string(appendSafe(nil, []byte(name)))
	if len(sent) > maxName || sent == "" || n.taken(sent) {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(name))
		sent = sent[:min(len(sent), maxName-9)] + "_" + strconv.FormatUint(uint64(hash.Sum32())|1<<31, 16)
	}
	n.renamed = append(n.renamed, renamed{name, sent})
	return sent
}

// taken reports whether another tool has that name.
func (n *toolNames) taken(name string) (taken bool) {
	for _, known := range n.renamed {
		taken = taken || known.sent == name
	}
	_, _ = rawjson.Array(n.tools, func(raw []byte) {
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			if string(key) == "function" {
				_, _ = rawjson.Object(value, func(key, value []byte) {
					taken = taken || string(key) == "name" && string(plain(value)) == name
				})
			}
		})
	})
	return taken
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
