package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// document is a Markdown file.
type document struct {
	path   string // from the root
	text   string
	blocks []block
}

// block is a fenced block of code.
type block struct {
	lang    string
	line    int // of its first line of content
	text    string
	section string // the heading of the second level that it stands under
	marks   []mark // the comments right above it
}

// mark is a comment above a block that says which of its commands no test runs,
// and what they need instead:
//
//	<!-- not run: needs Docker -->
//	<!-- not run, nats: needs the nats CLI -->
//
// The first is for all of them, the second for those that begin with nats.
type mark struct {
	begin, why string
	used       bool
}

var markForm = regexp.MustCompile(`^<!-- not run(?:, (.+?))?: ((?:needs|takes) .+) -->$`)

// documents reads every Markdown file of the repository.
func documents(t *testing.T) []document {
	t.Helper()
	var list []document
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		list = append(list, document{filepath.ToSlash(name), string(text), blocksOf(string(text))})
		return err
	})
	if err != nil || len(list) < 10 {
		t.Fatalf("%d documents, %v", len(list), err)
	}
	return list
}

func blocksOf(text string) []block {
	var list []block
	var marks []mark
	open, indent, number, section := false, 0, 0, ""
	for line := range strings.Lines(text) {
		number++
		bare := strings.TrimLeft(line, " ")
		fence := strings.HasPrefix(bare, "```")
		switch {
		case fence && !open: // in a list it is indented, and so is what it holds
			indent, open = len(line)-len(bare), true
			list = append(list, block{lang: strings.TrimSpace(bare[3:]), line: number + 1, section: section, marks: marks})
			marks = nil
		case fence:
			open = false
		case open:
			last := &list[len(list)-1]
			last.text += line[min(indent, len(line)-len(bare)):]
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		default:
			if m := markForm.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				marks = append(marks, mark{begin: m[1], why: m[2]})
			} else if strings.TrimSpace(line) != "" {
				marks = nil // stands above something else: TestCommandsRun misses it
			}
		}
	}
	return list
}
