package main

import (
	"bytes"

	"pelton/schema"
)

type schemaCmd struct {
	Name string `arg:"" optional:"" help:"Document to print; all names are listed without it."`
	JSON bool   `name:"json" help:"Print the list as JSON; a document is what it is."`
}

func (schemaCmd) Help() string {
	return `Prints the JSON Schema of a message (draft 2020-12, needs no other file), or with asyncapi the AsyncAPI description of all subjects.

Example:

	pelton schema
	pelton schema job > job.schema.json`
}

func (c *schemaCmd) Run(a *app) error {
	if c.Name == "" && c.JSON {
		type entry struct {
			Name  string `json:"name"`
			Title string `json:"title"`
		}
		var list []entry
		for _, d := range schema.Documents() {
			list = append(list, entry{d.Name, d.Title})
		}
		return writeJSON(a.stdout, list)
	}
	if c.Name == "" {
		t := table{{"NAME", "WHAT"}}
		for _, d := range schema.Documents() {
			t = append(t, []string{d.Name, d.Title})
		}
		return t.write(a.stdout, 0)
	}
	data, ok := schema.DocumentNamed(c.Name)
	if !ok {
		return usagef("there is no document %q; there are %s", c.Name, schema.DocumentNames())
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	_, err := a.stdout.Write(data)
	return err
}
