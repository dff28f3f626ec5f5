package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pelton/schema"
)

// The diagrams of states have the arrows of the tables below them, the tables
// name functions that exist, and the ends are those of the protocol.
func TestStates(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/states.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "\n## ")[1:]
	ends := [][]string{
		{string(schema.Succeeded), string(schema.CompletedWithErrors), string(schema.Failed), string(schema.Cancelled), string(schema.Expired)},
		{string(schema.StatusSucceeded), string(schema.StatusFailed), string(schema.StatusCancelled), string(schema.StatusExpired), "not_started"},
	}
	if len(sections) != len(ends) {
		t.Fatalf("%d sections", len(sections))
	}
	declared := functions(t)
	for i, section := range sections {
		drawn, told := map[string]bool{}, map[string]bool{}
		from, to := map[string]bool{}, map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^ +(\S+) --> (\S+)$`).FindAllStringSubmatch(section, -1) {
			drawn[m[1]+" "+m[2]] = true
			from[m[1]], to[m[2]] = true, true
		}
		for _, m := range regexp.MustCompile(`(?m)^\| ?(\w*) \| (\w+) \| .* \| ([^|]+) \|$`).FindAllStringSubmatch(section, -1) {
			if m[1] == "From" {
				continue
			}
			if m[1] == "" {
				m[1] = "[*]"
			}
			told[m[1]+" "+m[2]] = true
			names := regexp.MustCompile("`(\\w+\\.\\w+)`").FindAllStringSubmatch(m[3], -1)
			if len(names) == 0 {
				t.Errorf("%s to %s: no function is named", m[1], m[2])
			}
			for _, name := range names {
				if !declared[name[1]] {
					t.Errorf("%s to %s: there is no function %s", m[1], m[2], name[1])
				}
			}
		}
		for arrow := range drawn {
			if !told[arrow] {
				t.Errorf("arrow %s is in no table", arrow)
			}
		}
		for arrow := range told {
			if !drawn[arrow] {
				t.Errorf("arrow %s is in no diagram", arrow)
			}
		}
		var last []string
		for state := range to {
			if !from[state] {
				last = append(last, state)
			}
		}
		slices.Sort(last)
		slices.Sort(ends[i])
		if !slices.Equal(last, ends[i]) {
			t.Errorf("%s\nends %v, want %v", section[:20], last, ends[i])
		}
	}
}

// functions are the functions and methods of the rooms that change states, by
// room and name.
func functions(t *testing.T) map[string]bool {
	t.Helper()
	declared := map[string]bool{}
	form := regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(\w+)[(\[]`)
	for _, room := range []string{"jobs", "router", "worker"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range form.FindAllSubmatch(text, -1) {
				declared[room+"."+string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return declared
}
