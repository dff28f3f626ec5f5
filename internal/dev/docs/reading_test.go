package docs

import (
	"slices"
	"strings"
	"testing"
)

// What the other tests look at is what stands in a document.
func TestReading(t *testing.T) {
	fence := "```"
	text := strings.Join([]string{
		"# A", "## B", "<!-- not run, nats: needs the nats CLI -->", "",
		"1. In a list:", "",
		"   <!-- not run: needs Docker -->", "   " + fence + "sh",
		"   pelton worker &   # there", "", "   # no command", "   nats req a \\", "     b",
		"   for a in b c; do", "     export X=$(pelton ls | jq .)", "   done", "   " + fence,
		"## C", fence + "console", "$ A=1 pelton run \\", "  --mock > out", "one", "$ go run ./cmd/pelton ls; pelton version", fence,
	}, "\n") + "\n"
	blocks := blocksOf(text)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	if b := blocks[0]; b.section != "B" || b.lang != "sh" || b.line != 9 || len(b.marks) != 1 || b.marks[0].why != "needs Docker" {
		t.Errorf("%+v", b)
	}
	var got []string
	for _, s := range statementsOf(blocks[0]) {
		got = append(got, s.text)
	}
	want := []string{"pelton worker &   # there", "nats req a \\\n  b", "for a in b c; do\n  export X=$(pelton ls | jq .)\ndone"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	list := statementsOf(blocks[1])
	if len(list) != 2 || list[0].line != 20 || !slices.Equal(list[0].shows, []string{"one"}) || list[1].shows != nil {
		t.Fatalf("%+v", list)
	}
	for i, want := range [][]string{{"run --mock"}, {"ls", "version"}} {
		var got []string
		for _, args := range invocations(list[i].text) {
			got = append(got, strings.Join(args, " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
