package hint

import "testing"

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		text  string
		names []string
		want  string
	}{
		{"question", []string{"id", "qestion"}, "qestion"},
		{"Question-Text", []string{"id", "question_text"}, "question_text"},
		{"sttate", []string{"stale", "state"}, "state"},
		{"uesr", []string{"usage", "user"}, "user"},
		{"PELTON_SLOT", []string{"PELTON_QUEUES", "PELTON_SLOTS"}, "PELTON_SLOTS"},
		{"PELTON_UPSTREAM", []string{"PELTON_SLOTS", "PELTON_UPSTREAM_URL"}, "PELTON_UPSTREAM_URL"},
		{"PELTON_MAX_BODI_SIZ", []string{"PELTON_MAX_BODY_SIZE"}, "PELTON_MAX_BODY_SIZE"},
		{"text", []string{"texts", "text "}, "text "},
		{"slots", []string{"queues", "roles"}, ""},
		{"q", []string{"id", "a"}, ""},
		{"qid", []string{"ab", "pie"}, ""},
		{"PELTON", []string{"PELTON_UPSTREAM_URL"}, ""},
		{"", []string{"id", ""}, ""},
		{"id", nil, ""},
	} {
		if got := Nearest(c.text, c.names); got != c.want {
			t.Errorf("%q among %q: %q, want %q", c.text, c.names, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1},
	} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q and %q: %d and %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
