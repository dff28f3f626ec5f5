package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"pelton/internal/human"
	"pelton/schema"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Prints what the shell has to run to complete verbs, flags and their values.

Examples:

	mkdir -p ~/.local/share/bash-completion/completions
	pelton completion bash > ~/.local/share/bash-completion/completions/pelton
	mkdir -p ~/.zsh/completions
	pelton completion zsh > ~/.zsh/completions/_pelton    # a directory of $fpath, before compinit
	mkdir -p ~/.config/fish/completions
	pelton completion fish > ~/.config/fish/completions/pelton.fish`
}

// The scripts hand the words up to the cursor to pelton itself, so that they
// never know less than it does. Each line that comes back is a word and its
// meaning; a line :files asks for the names of files as well.
var completionScripts = map[string]string{
	"bash": `# pelton completion bash
_pelton() {
    local line cur="${COMP_WORDS[COMP_CWORD]}" files=
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        if [[ $line == :files ]]; then files=1; else COMPREPLY+=("$line"); fi
    done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
    fi
}
complete -F _pelton pelton
`,
	"zsh": `#compdef pelton
# pelton completion zsh
_pelton() {
    local line word meaning
    local -a list
    local files=
    while IFS=$'\t' read -r word meaning; do
        if [[ $word == :files ]]; then files=1; else list+=("${word//:/\\:}:$meaning"); fi
    done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#list} )) && _describe -t pelton pelton list
    [[ -n $files ]] && _files
}
if [[ $funcstack[1] == _pelton ]]; then _pelton "$@"; else compdef _pelton pelton; fi
`,
	"fish": `# pelton completion fish
function __pelton_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    for line in ($program complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c pelton -f -a '(__pelton_complete)'
`,
}

func (c *completionCmd) Run(a *app) error {
	_, err := io.WriteString(a.stdout, completionScripts[c.Shell])
	return err
}

// completeCmd is what the scripts run.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words behind pelton, the last of them unfinished."`
}

func (c *completeCmd) Run(a *app) error {
	parser, err := a.parser(nil)
	if err != nil {
		return err
	}
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, line := range complete(parser.Model.Node, words) {
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// complete lists what the last word may become.
func complete(node *kong.Node, words []string) (lines []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	flags := slices.Clone(node.Flags)
	positional, onlyArgs := 0, false
	var open *kong.Flag // wants the next word as its value
	for _, word := range words[:len(words)-1] {
		switch {
		case open != nil && word == "=": // bash takes --flag=value apart
		case open != nil:
			open = nil
		case onlyArgs || !strings.HasPrefix(word, "-") || word == "-":
			if next := childOf(node, word); next != nil && !onlyArgs {
				node, positional = next, 0
				flags = append(flags, next.Flags...)
			} else {
				positional++
			}
		case word == "--":
			onlyArgs = true
		case !strings.Contains(word, "="):
			open = flagOf(flags, word)
			if open != nil && open.IsBool() {
				open = nil
			}
		}
	}
	last := words[len(words)-1]
	add := func(word, meaning string) {
		if strings.HasPrefix(word, last) {
			lines = append(lines, word+"\t"+firstSentence(meaning))
		}
	}
	switch name, value, isValue := strings.Cut(last, "="); {
	case open != nil:
		return valuesOf(open, "", strings.TrimPrefix(last, "="))
	case isValue && strings.HasPrefix(name, "--") && !onlyArgs:
		if flag := flagOf(flags, name); flag != nil {
			return valuesOf(flag, name+"=", value)
		}
		return nil
	case strings.HasPrefix(last, "-") && !onlyArgs:
		for _, flag := range flags {
			if !flag.Hidden {
				add("--"+flag.Name, flag.Help)
			}
		}
		return lines
	}
	for _, child := range node.Children {
		if !child.Hidden && !onlyArgs {
			add(child.Name, child.Help)
		}
	}
	if len(node.Positional) > 0 {
		arg := node.Positional[min(positional, len(node.Positional)-1)]
		for _, value := range argValues[node.Name] {
			add(value, "")
		}
		if arg.Name == "file" {
			lines = append(lines, ":files")
		}
	}
	return lines
}

// firstSentence is a meaning that fits beside a word.
func firstSentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return human.Clip(oneLine(strings.TrimSuffix(first, ".")), 80)
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name {
			return child
		}
	}
	return nil
}

// flagOf finds --name, -n and -n in the company of others.
func flagOf(flags []*kong.Flag, word string) *kong.Flag {
	for _, flag := range flags {
		if word == "--"+flag.Name || flag.Short != 0 && len(word) == 2 && word == "-"+string(flag.Short) {
			return flag
		}
	}
	return nil
}

// flagValues are the words that a flag takes, where it takes no others.
var flagValues = map[string][]string{
	"order":      {"input", "completion"},
	"progress":   {"auto", "bar", "plain", "json", "none"},
	"log-format": {"auto", "console", "json"},
	"log-level":  {"trace", "debug", "info", "warn", "error", "disabled"},
	"state":      phaseNames(),
}

// argValues are the words that a verb takes.
var argValues = map[string][]string{
	"schema":     documentNames(),
	"completion": {"bash", "zsh", "fish"},
}

func documentNames() []string {
	var names []string
	for _, d := range schema.Documents() {
		names = append(names, d.Name)
	}
	return names
}

func phaseNames() []string {
	var names []string
	for _, p := range phases {
		names = append(names, string(p))
	}
	return names
}

func valuesOf(flag *kong.Flag, prefix, begun string) (lines []string) {
	for _, value := range flagValues[flag.Name] {
		if strings.HasPrefix(value, begun) {
			lines = append(lines, prefix+value)
		}
	}
	if p := flag.PlaceHolder; prefix == "" && (p == "FILE" || p == "DIR") {
		lines = append(lines, ":files")
	}
	return lines
}
