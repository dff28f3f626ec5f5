package docs

import (
	"slices"
	"strings"
)

// shells are the languages of blocks that show commands.
var shells = []string{"sh", "console"}

// statement is what a reader types at once: a line, or several that belong
// together.
type statement struct {
	text  string
	line  int      // in the document
	shows []string // what the document shows it to print; nil: nothing is shown
}

// statementsOf takes a block apart. In a console block a statement begins with $
// and is followed by what it prints.
func statementsOf(b block) []statement {
	var list []statement
	var text strings.Builder // of a statement that goes on
	number := b.line - 1
	first := 0
	for line := range strings.Lines(b.text) {
		number++
		line = strings.TrimRight(line, "\n")
		if b.lang == "console" && text.Len() == 0 {
			var typed bool
			if line, typed = strings.CutPrefix(line, "$ "); !typed {
				if len(list) > 0 {
					last := &list[len(list)-1]
					last.shows = append(last.shows, line)
				}
				continue
			}
		}
		if text.Len() == 0 {
			first = number
		}
		text.WriteString(line)
		loop := strings.HasPrefix(text.String(), "for ") && !strings.HasPrefix(line, "done")
		if strings.HasSuffix(line, "\\") || loop {
			text.WriteString("\n")
			continue
		}
		if len(commandsOf(text.String())) > 0 {
			list = append(list, statement{text: text.String(), line: first})
		}
		text.Reset()
	}
	return list
}

// commandsOf are the simple commands of a statement as words, without what is
// set for them alone (VARIABLE=value) and without redirections.
func commandsOf(text string) [][]string {
	var list [][]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		for _, words := range shell(line) {
			for len(words) > 0 && (words[0] == "do" || strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-")) {
				words = words[1:]
			}
			if len(words) > 0 {
				list = append(list, slices.Clone(words))
			}
		}
	}
	return list
}

// shell splits a line into simple commands and their words, redirections left out.
func shell(line string) [][]string {
	list := [][]string{nil}
	word, inWord, quote, skip := "", false, rune(0), false
	end := func() {
		if inWord && !skip {
			last := len(list) - 1
			list[last] = append(list[last], word)
		}
		skip = skip && !inWord
		word, inWord = "", false
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word += string(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\n' || c == '\t':
			end()
		case c == '#' && !inWord:
			return list
		case c == '|' || c == '&' || c == ';' || c == '(' || c == ')':
			end()
			list = append(list, nil)
		case c == '<' || c == '>':
			inWord = inWord && strings.Trim(word, "0123456789") != ""
			end()
			skip = true
		default:
			word += string(c)
			inWord = true
		}
	}
	end()
	return list
}
