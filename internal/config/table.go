package config

import "strings"

// Table returns all variables with their defaults and meanings as a Markdown
// table, as the README shows it.
func Table() string {
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, v := range variables {
		value := v.shown
		if value == "" && v.value != "" {
			value = "`" + v.value + "`"
		}
		b.WriteString("| `" + v.name + "` | " + cell(value) + " | " + cell(v.desc) + " |\n")
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
