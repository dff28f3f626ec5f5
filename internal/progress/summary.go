package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pelton/internal/human"
	"pelton/schema"
)

// topErrors is how many error codes the summary names.
const topErrors = 5

// summary is what there is to say at the end, in a few lines.
func (p *Printer) summary() string {
	s := p.state
	var b strings.Builder
	took := p.took()
	fmt.Fprintf(&b, "%s: %s", s.ID, strings.ReplaceAll(string(s.State), "_", " "))
	if s.State.Final() {
		fmt.Fprintf(&b, " after %s", duration(took))
	}
	if s.Reason != nil {
		fmt.Fprintf(&b, " (%s", s.Reason.Code)
		if s.Reason.Message != "" {
			fmt.Fprintf(&b, ": %s", s.Reason.Message)
		}
		b.WriteByte(')')
	}
	b.WriteString("\n  ")

	counts := []string{number(s.Counts.Succeeded) + " succeeded"}
	count := func(n int, what string) {
		if n > 0 {
			counts = append(counts, number(n)+" "+what)
		}
	}
	count(s.Counts.Failed, "failed")
	count(s.Counts.Cancelled, "cancelled")
	count(s.Counts.Expired, "expired")
	notStarted := s.Counts.NotStarted
	if !s.State.Final() {
		notStarted = s.Total - s.Counts.Stored()
	}
	what := "not started"
	if !s.State.Final() {
		what = "not done yet"
	}
	count(notStarted, what)
	count(p.o.Before, "done before")
	b.WriteString(strings.Join(counts, ", ") + "\n")

	var figures []string
	if stored := s.Counts.Stored(); stored > 0 && took > 0 {
		figures = append(figures, rate(float64(stored)/took.Seconds()))
	}
	if s.Usage != nil && s.Usage.PromptTokens+s.Usage.CompletionTokens > 0 {
		tokens := fmt.Sprintf("%s prompt + %s completion tokens", number(int(s.Usage.PromptTokens)), number(int(s.Usage.CompletionTokens)))
		figures = append(figures, human.AtLeast(s.Bill().UsageAtLeast(), tokens))
	}
	if s.Cost != nil {
		figures = append(figures, human.AtLeast(s.Bill().CostAtLeast(), human.Money(*s.Cost)))
	}
	if missing := human.Missing(s.Bill(), number); missing != "" {
		figures = append(figures, missing)
	}
	if len(figures) > 0 {
		b.WriteString("  " + strings.Join(figures, ", ") + "\n")
	}

	if s.Incomplete > 0 {
		fmt.Fprintf(&b, "  %s of the answers cut at their length or by a filter: results with \"incomplete\"\n", number(s.Incomplete))
	}
	errors := slices.Clone(s.Errors)
	slices.SortStableFunc(errors, func(a, b schema.ErrorCount) int { return b.Count - a.Count })
	for i, e := range errors {
		if i == topErrors {
			fmt.Fprintf(&b, "  and %d more error codes\n", len(errors)-topErrors)
			break
		}
		fmt.Fprintf(&b, "  %s × %s, first at index %d\n", number(e.Count), e.Code, e.FirstIndex)
	}
	return b.String()
}

// took is how long the job ran, or has been running.
func (p *Printer) took() time.Duration {
	s := p.state
	begin, end := s.CreatedAt, p.o.Now()
	if s.StartedAt != nil {
		begin = *s.StartedAt
	}
	if begin.IsZero() {
		begin = p.start
	}
	if s.FinishedAt != nil {
		end = *s.FinishedAt
	}
	return max(end.Sub(begin), 0)
}
