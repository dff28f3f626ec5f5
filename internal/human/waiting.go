package human

import (
	"time"

	"pelton/schema"
)

// Waiting says what requests wait for: "312 wait for small (429 until 10:42:07)", with
// the day where that is another than now's. The reason is left out.
func Waiting(w schema.Waiting, now time.Time, digits func(int) string) string {
	until, layout := w.Until.Local(), time.TimeOnly
	if now = now.Local(); until.YearDay() != now.YearDay() || until.Year() != now.Year() {
		layout = time.DateTime
	}
	verb := " wait"
	if w.Count == 1 {
		verb = " waits"
	}
	text := digits(w.Count) + verb
	if w.Model != "" {
		text += " for " + w.Model
	}
	if w.Cause != "" {
		return text + " (" + w.Cause + " until " + until.Format(layout) + ")"
	}
	return text + " (until " + until.Format(layout) + ")"
}
