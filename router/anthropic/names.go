package anthropic

import (
	"hash/fnv"
	"strconv"

	"pelton/internal/rawjson"
	"pelton/router/internal/translate"
)

// toolNames are the names by which a request calls tools.
type toolNames struct {
	translate.Names
	tools []byte // as they are written
}

// append appends a tool's name. Anthropic takes fewer characters than others
// do: where one does not fit, it gets another name, which the answer's reader
// turns back.
func (n *toolNames) append(out, raw []byte) []byte {
	name := translate.Plain(raw)
	if safe(name) && len(name) <= maxName {
		return append(append(append(out, '"'), name...), '"')
	}
	return append(append(append(out, '"'), n.rename(string(name))...), '"')
}

// maxName is the length of a tool's name that every way to Anthropic takes.
const maxName = 64

func (n *toolNames) rename(name string) string {
	for _, known := range n.Renamed {
		if known.Name == name {
			return known.Sent
		}
	}
	sent := string(appendSafe(nil, []byte(name)))
	if len(sent) > maxName || sent == "" || n.taken(sent) {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(name))
		sent = sent[:min(len(sent), maxName-9)] + "_" + strconv.FormatUint(uint64(hash.Sum32())|1<<31, 16)
	}
	n.Renamed = append(n.Renamed, translate.Renamed{Name: name, Sent: sent})
	return sent
}

// taken reports whether another tool has that name.
func (n *toolNames) taken(name string) (taken bool) {
	for _, known := range n.Renamed {
		taken = taken || known.Sent == name
	}
	_, _ = rawjson.Array(n.tools, func(raw []byte) {
		_, _ = rawjson.Object(raw, func(key, value []byte) {
			if string(key) == "function" {
				_, _ = rawjson.Object(value, func(key, value []byte) {
					taken = taken || string(key) == "name" && string(translate.Plain(value)) == name
				})
			}
		})
	})
	return taken
}
