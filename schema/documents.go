package schema

import (
	"embed"
	"slices"
	"strings"
)

//go:embed json/*.json asyncapi.yaml
var documents embed.FS

// Document describes messages for programs and people: a JSON Schema (draft
// 2020-12) that needs no other file, or the AsyncAPI description of all
// subjects.
type Document struct {
	Name  string // "job"; of the AsyncAPI description "asyncapi"
	Title string
	Data  []byte // JSON; of the AsyncAPI description YAML
}

// documentOrder is how Documents lists them: what a newcomer writes and reads first.
var documentOrder = []string{
	"job", "line", "result", "state", "error", "problems", "cancel", "progress", "delta", "event", "work", "parked", "stored",
	"call",
	"run-answer", "submit-answer", "status-answer", "list-answer", "cancel-answer", "service-error", asyncAPI,
}

const asyncAPI = "asyncapi"

// Documents returns all of them. The data is the caller's.
func Documents() []Document {
	list := make([]Document, 0, len(documentOrder))
	for _, name := range documentOrder {
		data, _ := DocumentNamed(name)
		title, _ := StringField(data, "title")
		if name == asyncAPI {
			title = "All subjects (AsyncAPI 3)"
		}
		list = append(list, Document{Name: name, Title: title, Data: data})
	}
	return list
}

// DocumentNamed returns the data of one document, and whether there is such a
// name.
func DocumentNamed(name string) ([]byte, bool) {
	if !slices.Contains(documentOrder, name) {
		return nil, false
	}
	file := "json/" + name + ".json"
	if name == asyncAPI {
		file = "asyncapi.yaml"
	}
	data, err := documents.ReadFile(file)
	return data, err == nil
}

// DocumentNames returns the names that [DocumentNamed] knows, with spaces
// between them.
func DocumentNames() string { return strings.Join(documentOrder, " ") }
