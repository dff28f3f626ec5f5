// Package docs holds the documents to the code: whatever they show is parsed,
// run or compared here.
package docs

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pelton/internal/config"
	"pelton/internal/dataset"
	"pelton/router/litellm"
	"pelton/router/protocol"
	"pelton/schema"
)

var update = flag.Bool("update", false, "write the tables of variables and services into their documents, and docs/reference.md")

// each calls f with every block in one of the languages.
func each(t *testing.T, f func(t *testing.T, d document, b block), langs ...string) {
	t.Helper()
	n := 0
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if slices.Contains(langs, b.lang) {
				n++
				f(t, d, b)
			}
		}
	}
	if n == 0 {
		t.Errorf("no block in %v", langs)
	}
}

func TestConfigurationTable(t *testing.T) {
	checkTable(t, "README.md", "Variable", config.Table())
}

// The services in the documentation are those of the code.
func TestServicesTable(t *testing.T) {
	checkTable(t, "docs/providers.md", "Prefix", litellm.Table())
}

// What an answer means in the documentation is what the code makes of it.
func TestAnswersTables(t *testing.T) {
	checkTable(t, "docs/answers.md", "Class", protocol.Classes())
	checkTable(t, "docs/answers.md", "Sign", protocol.Table())
}

// checkTable holds the table of a document whose first column has that heading
// against the code's, or writes it there.
func checkTable(t *testing.T, file, heading, want string) {
	t.Helper()
	path := filepath.Join(root, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)^\| ` + heading + ` \|.*\n(\|.*\n)+`)
	if *update {
		text = table.ReplaceAllLiteral(text, []byte(want))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(table.Find(text)); got != want {
		t.Errorf("the table in %s is not that of the code; run go test ./internal/dev/docs -update\n%s", file, want)
	}
}

// The reference of verbs and flags is what the command says of itself.
func TestReference(t *testing.T) {
	path := filepath.Join(root, "docs/reference.md")
	want, err := exec.CommandContext(t.Context(), command(t), "reference").Output()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/reference.md is not that of the command (%v); run go test ./internal/dev/docs -update", err)
	}
}

var (
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

func TestLinks(t *testing.T) {
	anchors := map[string][]string{}
	list := documents(t)
	for _, d := range list {
		for _, h := range headings.FindAllStringSubmatch(d.text, -1) {
			slug := noAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), "")
			anchors[d.path] = append(anchors[d.path], strings.ReplaceAll(slug, " ", "-"))
		}
	}
	for _, d := range list {
		for _, m := range links.FindAllStringSubmatch(d.text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(m[1], "#")
			path := d.path
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), target))
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: link to %s: there is no such file", d.path, m[1])
			}
			if anchor != "" && !slices.Contains(anchors[path], anchor) {
				t.Errorf("%s: link to %s: there is no such heading in %v", d.path, m[1], anchors[path])
			}
		}
	}
}

func TestNamedTestsExist(t *testing.T) {
	var all bytes.Buffer
	_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			text, _ := os.ReadFile(path)
			all.Write(text)
		}
		return err
	})
	for _, d := range documents(t) {
		for _, m := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(d.text, -1) {
			if !bytes.Contains(all.Bytes(), []byte("\nfunc "+m[1]+"(t *testing.T)")) {
				t.Errorf("%s: there is no %s", d.path, m[1])
			}
		}
	}
}

// JSON blocks are messages: a job, a result or a state.
func TestJSON(t *testing.T) {
	each(t, func(t *testing.T, d document, b block) {
		data := []byte(b.text)
		has := func(name string) bool { _, ok := schema.Field(data, name); return ok }
		var err error
		switch {
		case has("requests"), has("input"):
			_, err = schema.ParseJob(data, schema.Limits{})
		case has("counts"):
			err = strict(data, new(schema.State))
		case has("status"):
			err = strict(data, new(schema.Result))
		default:
			err = strict(data, new(any))
		}
		if err != nil {
			t.Errorf("%s:%d: %v", d.path, b.line, err)
		}
	}, "json")
}

func strict(data []byte, into any) error {
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	return in.Decode(into)
}

// Jobs on a command line, as in nats req SUBJECT '{…}'.
var inlineJob = regexp.MustCompile(`'(\{[^']*"(?:requests|input)"[^']*\})'`)

func TestInlineJobs(t *testing.T) {
	each(t, func(t *testing.T, d document, b block) {
		for _, m := range inlineJob.FindAllStringSubmatch(b.text, -1) {
			if _, err := schema.ParseJob([]byte(m[1]), schema.Limits{}); err != nil {
				t.Errorf("%s:%d: %s: %v", d.path, b.line, m[1], err)
			}
		}
	}, shells...)
}

// YAML blocks are configurations. What they mark as not used, and nothing else,
// is what Pelton warns of.
func TestYAML(t *testing.T) {
	each(t, func(t *testing.T, d document, b block) {
		checkConfig(t, d.path, b.line, b.text)
	}, "yaml")
	path := "examples/config.yaml"
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, path, 1, string(text))
}

func checkConfig(t *testing.T, name string, first int, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := litellm.Load(path, func(name string) (string, bool) {
		if strings.HasSuffix(name, "_KEY") || strings.HasSuffix(name, "_SECRET") && !strings.HasPrefix(name, "AZURE_") {
			return "sk-0", true
		}
		return "http://127.0.0.1:1/v1", strings.HasSuffix(name, "_URL")
	})
	if err != nil {
		t.Errorf("%s:%d: %v", name, first, err)
		return
	}
	marked := map[int]bool{}
	for i, line := range strings.Split(text, "\n") {
		marked[i+1] = strings.Contains(line, "# not used")
	}
	for _, w := range warnings {
		if !marked[w.Line] {
			t.Errorf("%s:%d: %s: %s, and the document does not say so", name, first+w.Line-1, w.Key, w.Message)
		}
		delete(marked, w.Line)
	}
	for line, is := range marked {
		if is {
			t.Errorf("%s:%d: is said to be not used, but is: take the mark away", name, first+line-1)
		}
	}
	for _, entry := range os.Environ() { // those of the tests' own
		if key, _, _ := strings.Cut(entry, "="); strings.HasPrefix(key, "PELTON_") {
			t.Setenv(key, "")
			_ = os.Unsetenv(key)
		}
	}
	if _, err := config.Load(config.Flag{Flag: "--config", Name: "PELTON_CONFIG", Value: path}); err != nil {
		t.Errorf("%s:%d: %v", name, first, err)
	}
}

// Blocks of code are parts of programs that are compiled and run: make
// examples-check runs those of examples.
func TestCode(t *testing.T) {
	for lang, paths := range map[string][]string{
		"go":     {"examples/go/main.go", "examples/plain/main.go", "examples/service/main.go", "jobs/example_test.go"},
		"js":     {"examples/javascript/run.mjs"},
		"python": {"examples/python/run.py"},
	} {
		var sources []string
		for _, path := range paths {
			text, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, flat(string(text)))
		}
		each(t, func(t *testing.T, d document, b block) {
			// Elsewhere Python is that of others: LiteLLM's, OpenAI's.
			ours := lang == "go" || d.path == "docs/producers.md"
			if ours && !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, flat(b.text)) }) {
				t.Errorf("%s:%d: is no part of an example", d.path, b.line)
			}
		}, lang)
	}
}

// The clients that know Pelton by its messages alone name subjects, streams,
// headers and fields that there are.
func TestClients(t *testing.T) {
	fields := map[string]bool{}
	for _, name := range []string{"job", "result", "state"} {
		data, ok := schema.DocumentNamed(name)
		if !ok {
			t.Fatalf("there is no schema of a %s", name)
		}
		for _, m := range regexp.MustCompile(`"([a-z_]+)":`).FindAllSubmatch(data, -1) {
			fields[string(m[1])] = true
		}
	}
	asyncapi, _ := schema.DocumentNamed("asyncapi")
	for path, accessor := range map[string]string{
		"examples/python/run.py":      `\["([a-z_]+)"\]`,
		"examples/javascript/run.mjs": `\bvalue\.([a-z_]+)`,
	} {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		n := 0
		for _, m := range regexp.MustCompile(accessor).FindAllStringSubmatch(text, -1) {
			n++
			if answers := []string{"choices", "message", "content"}; !fields[m[1]] && !slices.Contains(answers, m[1]) {
				t.Errorf("%s: no message has the field %s", path, m[1])
			}
		}
		if n < 3 {
			t.Errorf("%s: %d fields found", path, n)
		}
		for _, m := range regexp.MustCompile(`pelton\.([a-z]+)\.default`).FindAllStringSubmatch(text, -1) {
			if !bytes.Contains(asyncapi, []byte("pelton."+m[1]+".{queue}")) {
				t.Errorf("%s: there is no subject %s", path, m[0])
			}
		}
		for _, m := range regexp.MustCompile(`PELTON_[A-Z]+|Pelton-[A-Z][a-z]+`).FindAllString(text, -1) {
			if headers := []string{schema.HeaderJob, schema.HeaderIndex, schema.HeaderStatus}; !slices.Contains(headers, m) && !bytes.Contains(asyncapi, []byte(m)) {
				t.Errorf("%s: there is no %s", path, m)
			}
		}
	}
	if python, err := exec.LookPath("python3"); err == nil {
		compile := `import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])`
		if out, err := exec.CommandContext(t.Context(), python, "-c", compile, filepath.Join(root, "examples/python/run.py")).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
	}
}

// Every document can be found from the index.
func TestIndex(t *testing.T) {
	for index, dir := range map[string]string{"docs/README.md": "docs", "docs/adr/README.md": "docs/adr"} {
		text, err := os.ReadFile(filepath.Join(root, index))
		if err != nil {
			t.Fatal(err)
		}
		paths, _ := filepath.Glob(filepath.Join(root, dir, "*.md"))
		for _, path := range paths {
			if name := filepath.Base(path); name != "README.md" && !bytes.Contains(text, []byte("("+name)) {
				t.Errorf("%s does not lead to %s", index, name)
			}
		}
	}
}

// What troubleshooting quotes is what the code says.
func TestTroubleshooting(t *testing.T) {
	var code bytes.Buffer
	_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			text, _ := os.ReadFile(path)
			code.Write(text)
		}
		return err
	})
	text, err := os.ReadFile(filepath.Join(root, "docs/troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			n++
			for part := range strings.SplitSeq(m[1], " … ") {
				if !strings.HasPrefix(part, "-") && !bytes.Contains(code.Bytes(), []byte(part)) {
					t.Errorf("docs/troubleshooting.md: nothing says %q", part)
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("%d texts", n)
	}
}

// flat is code without its indentation.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func TestExamples(t *testing.T) {
	for _, path := range []string{"examples/job.json", "examples/nats/job.json"} {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err == nil {
			_, err = schema.ParseJob(data, schema.Limits{})
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, options := range map[string]dataset.Options{
		"examples/prompts.jsonl": {},
		"examples/questions.csv": {Prompt: "{{.question}}", ID: "{{.id}}", Model: "m"},
	} {
		file, err := os.Open(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		reader, err := dataset.New(file, path, options)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for reader.Next() {
			n++
		}
		if err := reader.Err(); err != nil || n < 5 {
			t.Errorf("%s: %d requests, %v", path, n, err)
		}
		file.Close()
	}
}

func TestCommands(t *testing.T) {
	pelton := command(t)
	t.Run("in blocks", func(t *testing.T) { commandLines(t, pelton) })
	t.Run("inline", func(t *testing.T) { inlineCommands(t, pelton) })
	t.Run("make and go", inlineTargets)
}

// What text names of the Makefile and of the packages is there.
func inlineTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	inline := regexp.MustCompile("`((?:make|go) [^`]*)`")
	n := 0
	for _, d := range documents(t) {
		var texts []string
		for _, m := range inline.FindAllStringSubmatch(d.text, -1) {
			texts = append(texts, m[1])
		}
		for _, b := range d.blocks {
			if slices.Contains(shells, b.lang) {
				texts = append(texts, strings.Split(b.text, "\n")...)
			}
		}
		for _, text := range texts {
			words := append(commandsOf(strings.TrimPrefix(text, "$ ")), []string{""})[0]
			for _, word := range words[1:] {
				target := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(word) + ":")
				switch {
				case words[0] == "make" && !strings.Contains(word, "="):
					n++
					if !target.Match(makefile) {
						t.Errorf("%s: %s: make has no target %s", d.path, text, word)
					}
				case words[0] == "go" && strings.HasPrefix(word, "./") && word != "./...":
					n++
					if _, err := os.Stat(filepath.Join(root, word)); err != nil {
						t.Errorf("%s: %s: %v", d.path, text, err)
					}
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("%d found", n)
	}
}

// help runs pelton with -h behind the arguments: the parser looks at all of
// them, and nothing is run.
func help(t *testing.T, pelton string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), pelton, append(slices.Clone(args), "-h")...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Command lines in blocks are whole: verbs, flags and their values must be right.
func commandLines(t *testing.T, pelton string) {
	t.Helper()
	seen := map[string]bool{}
	each(t, func(t *testing.T, d document, b block) {
		for _, s := range statementsOf(b) {
			for _, args := range invocations(s.text) {
				seen[args[0]] = true
				if out, err := help(t, pelton, args...); err != nil {
					t.Errorf("%s:%d: pelton %s: %s", d.path, s.line, strings.Join(args, " "), out)
				}
			}
		}
	}, shells...)
	for _, verb := range []string{"run", "worker", "submit", "results", "watch", "cancel", "ls", "rm", "queue"} {
		if !seen[verb] {
			t.Errorf("no document shows pelton %s", verb)
		}
	}
}

// invocations are the arguments of each pelton in a statement.
func invocations(text string) [][]string {
	var list [][]string
	for _, words := range commandsOf(text) {
		if len(words) > 3 && slices.Equal(words[:3], []string{"go", "run", "./cmd/pelton"}) {
			words = words[2:]
			words[0] = "pelton"
		}
		if len(words) > 1 && words[0] == "pelton" {
			list = append(list, words[1:])
		}
	}
	return list
}

// Inline code that begins with a verb names one that exists, with flags it has.
func inlineCommands(t *testing.T, pelton string) {
	t.Helper()
	inline := regexp.MustCompile("`pelton ([a-z][^`]*)`")
	for _, d := range documents(t) {
		for _, m := range inline.FindAllStringSubmatch(d.text, -1) {
			words := strings.Fields(m[1])
			verb := words[:1]
			if words[0] == "queue" && len(words) > 1 {
				verb = words[:2]
			}
			out, err := help(t, pelton, verb...)
			if err != nil {
				t.Errorf("%s: %s: %s", d.path, m[0], out)
			}
			for _, word := range words[1:] {
				flag, _, _ := strings.Cut(word, "=")
				if strings.HasPrefix(word, "-") && !strings.Contains(out, flag) {
					t.Errorf("%s: %s: there is no %s", d.path, m[0], flag)
				}
			}
		}
	}
}
