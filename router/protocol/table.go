package protocol

import (
	"cmp"
	"slices"
	"strings"

	"pelton/schema"
)

// Table is [Signs] as the table of docs/answers.md.
func Table() string {
	var out strings.Builder
	out.WriteString("| Sign | Status | Names, and words in the message | Class | What happens | Source |\n|---|---|---|---|---|---|\n")
	for i := range Signs {
		s := &Signs[i]
		var names []string
		for code := range strings.FieldsSeq(s.Codes) {
			names = append(names, "`"+code+"`")
		}
		for _, phrase := range s.Phrases {
			names = append(names, "“"+strings.ReplaceAll(phrase, "`", "'")+"”")
		}
		cells := []string{s.Seen, cmp.Or(strings.ReplaceAll(s.On, "!", "not "), "any"), strings.Join(names, ", "), "`" + string(s.Class) + "`", s.Does(), s.Source}
		for _, cell := range cells {
			out.WriteString("| " + strings.ReplaceAll(cell, "|", "\\|") + " ")
		}
		out.WriteString("|\n")
	}
	return out.String()
}

// Does is what happens to a request that such a failure meets, in words.
func (s *Sign) Does() string {
	a := Actions[s.Class]
	var does []string
	say := func(is bool, what string) {
		if is {
			does = append(does, what)
		}
	}
	say(s.Used, "waits where its end is known and in time, else `upstream_fatal` for the model at the second sign")
	say(a.Retry && !s.Used, "retry")
	say(a.Wait && !s.Used, "wait")
	say(a.Fallback != "", a.Fallback)
	say(a.Counts, "cooldown")
	say(a.Out, "takes out "+s.Scope.String()+s.confirmed())
	return strings.Join(does, ", ")
}

// confirmed says that one answer alone does not take anything out.
func (s *Sign) confirmed() string {
	if slices.ContainsFunc([]int{404, 405, 410}, statusesOf(s.On).has) && s.On != "" && s.On[0] != '!' {
		return ", once a second request is told so"
	}
	return ""
}

// Classes is what follows from each class, as a table of docs/answers.md.
func Classes() string {
	var out strings.Builder
	out.WriteString("| Class | Retry | Wait | Goes on with | Counts for a cooldown | Takes out |\n|---|---|---|---|---|---|\n")
	yes := map[bool]string{true: "yes", false: "no"}
	for _, class := range []schema.Class{
		schema.ClassTransient, schema.ClassRateLimited, schema.ClassUpstreamFatal,
		schema.ClassContextWindow, schema.ClassContentPolicy, schema.ClassRequestFatal,
	} {
		a := Actions[class]
		out.WriteString("| `" + string(class) + "` | " + yes[a.Retry] + " | " + yes[a.Wait] + " | " + a.Fallback + " | " + yes[a.Counts] + " | " + yes[a.Out] + " |\n")
	}
	return out.String()
}
