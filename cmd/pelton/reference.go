package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// referenceCmd prints docs/reference.md; go test ./internal/dev/docs -update writes it.
type referenceCmd struct{}

func (c *referenceCmd) Run(a *app) error {
	parser, err := a.parser(nil)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("# All verbs and flags\n\n<!-- made by go test ./internal/dev/docs -update -->\n\n")
	b.WriteString("`pelton VERB -h` tells the same. [The command](cli.md) tells what they are for. Most flags\nbeat a variable, which stands in brackets.\n")
	for _, node := range parser.Model.Leaves(true) {
		writeVerb(&b, node)
	}
	b.WriteString("\n## Connection\n\nEvery verb that talks to a service takes these.\n\n")
	for _, node := range parser.Model.Leaves(true) {
		if node.Name == "ls" {
			writeFlags(&b, node, true)
			break
		}
	}
	_, err = io.WriteString(a.stdout, b.String())
	return err
}

// shared reports whether a flag is one of those that are told of once.
func shared(f *kong.Flag) bool {
	return f.Group != nil && f.Group.Key == "connection" && f.Name != "local" || f.Name == "config" || f.Name == "log-level"
}

func writeVerb(b *strings.Builder, node *kong.Node) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", node.FullPath(), node.Help)
	fmt.Fprintf(b, "\n```\n%s\n```\n", node.FullPath()+strings.TrimPrefix(node.Summary(), node.Path()))
	example := false
	for line := range strings.SplitSeq(node.Detail, "\n") {
		switch {
		case strings.HasPrefix(line, "Example"):
		case strings.HasPrefix(line, "\t"):
			if !example {
				b.WriteString("\n```sh\n")
			}
			example = true
			b.WriteString(strings.TrimPrefix(line, "\t") + "\n")
		default:
			if example {
				b.WriteString("```\n")
			}
			example = false
			if line != "" {
				b.WriteString("\n" + line + "\n")
			}
		}
	}
	if example {
		b.WriteString("```\n")
	}
	if len(node.Positional) > 0 {
		b.WriteString("\n| Argument | |\n|---|---|\n")
		for _, arg := range node.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", arg.Summary(), cell(arg.Help))
		}
	}
	writeFlags(b, node, false)
}

// writeFlags writes a verb's own flags, or those that it shares with others.
func writeFlags(b *strings.Builder, node *kong.Node, common bool) {
	head := "\n| Flag | |\n|---|---|\n"
	if common {
		head = head[1:]
	}
	more := false
	for _, f := range node.Flags {
		if f.Hidden || f.Name == "help" {
			continue
		}
		if shared(f) != common {
			more = more || shared(f)
			continue
		}
		b.WriteString(head)
		head = ""
		name := "`--" + f.Name
		if f.Short != 0 {
			name = "`-" + string(f.Short) + "`, " + name
		}
		if !f.IsBool() {
			name += " " + f.FormatPlaceHolder()
		}
		fmt.Fprintf(b, "| %s` | %s |\n", name, cell(f.Help))
	}
	if more {
		b.WriteString("\nAnd those of a [connection](#connection).\n")
	}
}

// cell is text in a table.
func cell(text string) string { return strings.ReplaceAll(oneLine(text), "|", "\\|") }
