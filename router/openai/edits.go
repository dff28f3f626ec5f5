package openai

import (
	"slices"
	"strings"

	"pelton/internal/rawjson"
	"pelton/router/protocol"
)

// edits are what a server's requests for chat completions are changed by: what it
// calls by another name, and what it has no place for.
type edits struct {
	from, to string   // a parameter's name, and the server's for it; empty: none
	lacks    []string // left out
	drop     protocol.Drop
}

// newEdits reads the settings renames and, where parameters may be left out, lacks.
// It returns nil if bodies go as they come.
func newEdits(u protocol.Upstream) *edits {
	e := edits{drop: u.Drop()}
	e.from, e.to, _ = strings.Cut(u.Settings["renames"], " ")
	if u.DropParams {
		e.lacks = strings.Fields(u.Settings["lacks"])
	}
	if e.to == "" && len(e.lacks) == 0 {
		return nil
	}
	return &e
}

// apply returns body changed: a new object, or body itself where nothing is to do.
// A parameter that is there by both names counts by the one that is renamed.
func (e *edits) apply(body []byte) []byte {
	renames, drops := false, false
	_, valid := rawjson.Object(body, func(key, _ []byte) {
		name := rawjson.Key(key)
		renames = renames || e.to != "" && string(name) == e.from
		drops = drops || slices.Contains(e.lacks, string(name))
	})
	if !valid || !renames && !drops {
		return body
	}
	out := append(make([]byte, 0, len(body)), '{')
	_, _ = rawjson.Object(body, func(key, value []byte) {
		name := string(rawjson.Key(key))
		switch {
		case renames && name == e.to:
			return
		case e.to != "" && name == e.from:
			name = e.to
		}
		if slices.Contains(e.lacks, name) {
			e.drop.Out(name, "")
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(rawjson.AppendString(out, name), ':')
		out = append(out, value...)
	})
	return append(out, '}')
}
