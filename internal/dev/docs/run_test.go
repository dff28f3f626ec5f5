//go:build unix

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// exitCodes are those of commands that are shown to fail.
var exitCodes = map[string]int{
	"pelton run bad.jsonl":                     2,
	"pelton submit prompts.jsonl --queue bulk": 3,
	"pelton run --mock --mock-latency 400ms -c 2 -o slow.jsonl examples/prompts.jsonl": 130,
}

// Every command of a block is run, section by section, unless a mark above the
// block says what it needs that is not here, or CI runs it.
func TestCommandsRun(t *testing.T) {
	built := t.TempDir()
	n := 0
	for _, d := range documents(t) {
		marks := 0
		for i, b := range d.blocks {
			if b.lang == "" || b.lang == "text" {
				hidden(t, d, b)
			}
			marks += len(b.marks)
			if slices.Contains(shells, b.lang) {
				n += len(statementsOf(b))
			}
			first := i == 0 || d.blocks[i-1].section != b.section
			if first && slices.ContainsFunc(d.blocks, func(x block) bool { return x.section == b.section && slices.Contains(shells, x.lang) }) {
				t.Run(d.path+" "+b.section, func(t *testing.T) {
					t.Parallel()
					section(t, d, b.section, built)
				})
			}
		}
		if n := len(regexp.MustCompile(`(?m)^\s*<!-- not run`).FindAllString(d.text, -1)); n != marks {
			t.Errorf("%s: %d marks, of which %d stand right above a block and read <!-- not run: needs … -->", d.path, n, marks)
		}
	}
	if n < 100 {
		t.Errorf("%d commands", n)
	}
}

// section runs the commands of one section.
func section(t *testing.T, d document, name, built string) {
	t.Helper()
	var s *session // once something runs
	for _, b := range d.blocks {
		if b.section != name || !slices.Contains(shells, b.lang) {
			continue
		}
		for _, st := range statementsOf(b) {
			if !judge(t, d, &b, st) {
				continue
			}
			if s == nil {
				s = newSession(t, built)
				defer func() { s.stop(0) }()
				if prepare := before[d.path+" "+name]; prepare != nil {
					prepare(s)
				}
			}
			s.follow(d, st)
		}
		for _, m := range b.marks {
			if !m.used {
				t.Errorf("%s:%d: the mark (%s) is for no command of the block", d.path, b.line, m.why)
			}
		}
	}
}

// judge reports whether a statement is to be run: it needs nothing but what is
// here. If not, a mark must say why, or CI must run it.
func judge(t *testing.T, d document, b *block, st statement) bool {
	t.Helper()
	var why string
	for i := range b.marks {
		if m := &b.marks[i]; strings.HasPrefix(st.text, m.begin) {
			m.used = true
			why = m.why
		}
	}
	runs := !slices.ContainsFunc(commandsOf(st.text), func(words []string) bool { return !here(words) })
	ci := byCI(t, st.text)
	switch {
	case why != "" && runs:
		t.Errorf("%s:%d: %s\nis said to be not run (%s), but can be: take the mark away", d.path, st.line, st.text, why)
	case why != "" && ci:
		t.Errorf("%s:%d: %s\nis said to be not run (%s), but CI does: take the mark away", d.path, st.line, st.text, why)
	case why == "" && !runs && !ci:
		t.Errorf("%s:%d: %s\nis run by no test: mark the block with <!-- not run: needs … -->", d.path, st.line, st.text)
	}
	return runs
}

// here reports whether a command can be run with what is here: Go, a shell and
// the stand-ins. Of go itself, tests and tools are not run inside a test.
func here(words []string) bool {
	switch words[0] {
	case "go":
		if len(words) > 2 && words[1] == "run" {
			return words[2] != "./internal/dev/chaos/cmd" // takes minutes
		}
		return len(words) > 1 && words[1] == "install"
	case "for", "done", "export", "echo", "cat", "cp", "mkdir":
		return true
	}
	_, is := standIns[words[0]]
	return is
}

// byCI reports whether .ci/run does what a statement says.
func byCI(t *testing.T, text string) bool {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(root, ".ci/run"))
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Join(append(commandsOf(text), nil)[0], " ")
	switch {
	case text == ".ci/run":
		return true
	case text == "go test ./...":
		return strings.Contains(string(script), "\ngo test $race ./...\n")
	case strings.HasPrefix(text, "make "):
		return regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(text) + `$`).Match(script)
	}
	return false
}

// hidden finds commands in blocks that are said to be text.
func hidden(t *testing.T, d document, b block) {
	t.Helper()
	for line := range strings.Lines(b.text) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasSuffix(strings.TrimSpace(line), "[flags]") || strings.Contains(line, "<") {
			continue // a synopsis
		}
		programs := []string{"pelton", "go", "make", "nats", "docker", "kubectl", "curl", "python", "npm", "systemctl"}
		if slices.Contains(programs, words[0]) {
			t.Errorf("%s:%d: %sis a command: call the block sh", d.path, b.line, line)
		}
	}
}

// serves is how a statement begins that does not end by itself.
var serves = regexp.MustCompile(`^(?:\w+=\S+\s+(?:\\\n\s*)?)*(?:pelton (worker|mock|gateway)\b|(nats-server) )`)

// follow does what a reader does with a statement.
func (s *session) follow(d document, st statement) {
	s.t.Helper()
	m := serves.FindStringSubmatch(st.text)
	if m != nil && !strings.Contains(st.text, "--healthcheck") && !strings.Contains(st.text, "--new-key") {
		s.serve(st.text, m[1]+m[2])
		return
	}
	s.presuppose(st.text)
	p := s.launch(st.text, "")
	if slices.Contains(st.shows, "^C") {
		// Once there is a result; the file is there with the first of them.
		if !s.until(p, func() bool {
			info, err := os.Stat(filepath.Join(s.dir, "slow.jsonl"))
			return err == nil && info.Size() > 0
		}) {
			s.t.Errorf("%s:%d: %s\nwrites nothing", d.path, st.line, st.text)
		}
		p.signal(syscall.SIGINT)
	}
	said := s.ended(p, exitCodes[st.text])
	if st.shows != nil {
		if line := unlike(st.shows, said); line != "" {
			s.t.Errorf("%s:%d: %s\nshows %q; it printed\n%s", d.path, st.line, st.text, line, said)
		}
	}
}

var (
	ownID  = regexp.MustCompile(`r[0-9a-f]{12}-[0-9A-Za-z]*`)
	figure = regexp.MustCompile(`[0-9][0-9,]*(\.[0-9]+)?`)
)

// unlike returns the first line of what is shown that was not printed, in this
// order. Figures and ids may be others, … stands for anything, and a line of it
// for any lines.
func unlike(shows []string, printed string) string {
	lines := strings.Split(strings.TrimRight(printed, "\n"), "\n")
	skip := false
	for _, show := range shows {
		if show == "…" {
			skip = true
			continue
		}
		if show == "^C" {
			continue
		}
		i := slices.IndexFunc(lines, shape(show).MatchString)
		if i < 0 || i > 0 && !skip {
			return show
		}
		lines, skip = lines[i+1:], false
	}
	if len(lines) > 0 && !skip {
		return "nothing more than " + shows[len(shows)-1]
	}
	return ""
}

// shape is what a shown line has in common with a printed one.
func shape(line string) *regexp.Regexp {
	line = strings.ReplaceAll(ownID.ReplaceAllString(line, "\x00"), "…", "\x01")
	line = figure.ReplaceAllString(regexp.QuoteMeta(line), "\x02")
	return regexp.MustCompile("^" + strings.NewReplacer("\x00", ownID.String(), "\x01", ".*", "\x02", figure.String()).Replace(line) + "$")
}
