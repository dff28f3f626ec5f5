package litellm

import (
	"bytes"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"pelton/router/internal/file"
)

// section is a key of a file's first level, and the file.
type section struct {
	entry entry
	file  string
}

// sections reads the file and those it includes: by key what is there. As in
// LiteLLM, lists of several files are one after the other, and of anything else
// the last counts.
func (l *loader) sections(text []byte) map[string][]section {
	all := map[string][]section{}
	own := l.entriesOf(text)
	for _, e := range own {
		all[e.key] = []section{{e, l.file}}
	}
	include := findEntry(own, "include")
	delete(all, "include")
	if include == nil {
		return all
	}
	if n := resolve(include.value); n.Kind != yaml.SequenceNode {
		l.problem(include.line, "include: must be a list of files")
		return all
	}
	main := l.file
	for _, name := range l.names(*include) {
		path := filepath.Join(filepath.Dir(main), name)
		if filepath.IsAbs(name) {
			path = name
		}
		l.file = main
		text, err := file.Read(path, file.Max)
		if err != nil {
			l.problem(include.line, "include: "+err.Error())
			continue
		}
		l.file, l.files = path, append(l.files, path)
		for _, e := range l.entriesOf(text) {
			if e.key == "include" {
				l.unused(e, " in a file that is itself included")
				continue
			}
			var before []section
			if e.key == "pelton_settings" {
				l.unused(e, " in a file that is included: write it into "+main)
				continue
			}
			if resolve(e.value).Kind == yaml.SequenceNode {
				before = all[e.key]
			}
			all[e.key] = append(before, section{e, path})
		}
	}
	l.file = main
	return all
}

// entriesOf reads one document.
func (l *loader) entriesOf(text []byte) []entry {
	var root, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil {
		l.syntax(err)
		return nil
	}
	if decoder.Decode(&second) == nil {
		l.problem(second.Line, "a second YAML document: a configuration is one")
	}
	return l.mapping(root.Content[0], "the file")
}
