package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pelton/internal/human"
	"pelton/router/protocol"
	"pelton/schema"
)

// target names a job of a service.
type target struct {
	Conn  connection `embed:""`
	Queue string     `default:"default" placeholder:"Q" help:"The job's queue (${default})."`
	Job   string     `arg:"" help:"The job's id."`
}

type statusCmd struct {
	target
	JSON    bool `name:"json" xor:"what" help:"Print the state as JSON."`
	Message bool `xor:"what" help:"Print the job's message as it was published, byte for byte: also of one that was no job."`
}

func (statusCmd) Help() string {
	return "Examples:\n\n\tpelton status nightly-42 --json\n\tpelton status j17 --message    # what was published under a message that was no job"
}

func (c *statusCmd) Run(a *app) error {
	s, err := a.dial(&c.Conn, c.Queue)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := a.brief()
	defer cancel()
	h := s.client.Job(c.Queue, c.Job)
	if c.Message {
		data, err := h.Message(ctx)
		if err == nil {
			_, err = a.stdout.Write(data)
		}
		return err
	}
	state, stored, err := h.Counted(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(a.stdout, state)
	}
	rows := stateTable(state)
	if stored > state.Counts.Stored() { // there was no time to count them
		rows = append(rows, []string{"stored", fmt.Sprintf("%d results: the counts above are older", stored)})
	}
	if gone, _ := h.AgedOut(ctx); gone { // a producer may not look
		rows = append(rows, []string{"kept", "its state; the results have aged out"})
	}
	return rows.write(a.stdout, 0)
}

// stateTable is a state for people.
func stateTable(s *schema.State) table {
	t := table{{"job", s.ID}, {"queue", s.Queue}, {"state", string(s.State)}}
	add := func(what, format string, args ...any) { t = append(t, []string{what, fmt.Sprintf(format, args...)}) }
	if s.ExternalID != "" {
		add("external id", "%s", s.ExternalID)
	}
	if s.RetryOf != "" {
		add("retry of", "%s", s.RetryOf)
	}
	if s.Reason != nil {
		add("reason", "%s: %s", s.Reason.Code, s.Reason.Message)
	}
	add("done", "%d of %d", s.Counts.Stored(), s.Total)
	add("results", "%s", human.Counts(s.Counts, strconv.Itoa))
	if !s.State.Final() {
		add("in flight", "%d", s.InFlight)
		for _, w := range s.Waiting {
			add("waiting", "%s", waitText(w))
		}
		add("rate", "%.1f/s%s", s.Rate, etaText(s))
		if s.Isolated > 0 {
			add("isolated", "%s", human.Isolated(s.Isolated))
		}
	}
	if s.Usage != nil {
		add("tokens", "%s", human.AtLeast(s.Bill().UsageAtLeast(), usageText(s.Usage)))
	}
	if s.Cost != nil {
		add("cost", "%s", human.AtLeast(s.Bill().CostAtLeast(), human.Money(*s.Cost)))
	}
	if missing := human.Missing(s.Bill(), human.Digits); missing != "" {
		add("not counted", "%s", missing)
	}
	if s.Incomplete > 0 {
		add("incomplete", "%d answers are cut, or filtered", s.Incomplete)
	}
	for _, e := range s.Errors {
		add("error", "%s: %d, first at index %d", e.Code, e.Count, e.FirstIndex)
	}
	add("created", "%s", s.CreatedAt.Local().Format(time.DateTime))
	if s.FinishedAt != nil && s.StartedAt != nil {
		add("took", "%s", s.FinishedAt.Sub(*s.StartedAt).Round(time.Millisecond))
	}
	return t
}

// waitText is what requests wait for, with the upstream's own words.
func waitText(w schema.Waiting) string {
	text := human.Waiting(w, time.Now(), human.Digits)
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return text
}

func usageText(u *schema.Usage) string {
	return fmt.Sprintf("%d in, %d out", u.PromptTokens, u.CompletionTokens)
}

func etaText(s *schema.State) string {
	if s.ETASeconds == nil {
		return ""
	}
	return ", " + (time.Duration(*s.ETASeconds) * time.Second).String() + " left"
}

// configurationCodes are those of failures that no request can help: what is
// wrong is the connection, the key or the configuration.
var configurationCodes = func() map[string]bool {
	codes := protocol.FatalCodes()
	for code := range strings.FieldsSeq(`http_401 http_402 http_403 http_404 http_405 http_407 http_410 http_501`) {
		codes[code] = true
	}
	codes[schema.CodeConnection], codes[schema.CodeNoDeployment], codes[string(schema.ClassUpstreamFatal)] = true, true, true
	return codes
}()

// misconfigured reports whether every request failed for such a reason.
func misconfigured(s *schema.State) bool {
	if s.Counts.Failed == 0 || s.Counts.Succeeded > 0 || s.Counts.Failed != s.Counts.Stored() || s.Counts.NotStarted > 0 {
		return false
	}
	for _, e := range s.Errors {
		code := strings.ToLower(e.Code)
		if _, err := strconv.Atoi(code); err == nil { // servers that write the status there
			code = "http_" + code
		}
		if !configurationCodes[code] {
			return false
		}
	}
	return len(s.Errors) > 0
}

// exitOf is the exit code for a job that ended in state s.
func exitOf(s *schema.State) int {
	switch {
	case s.State == schema.Succeeded:
		return exitOK
	case s.State == schema.Expired:
		return exitLimit
	case s.State == schema.Cancelled:
		return exitCancelled
	case misconfigured(s):
		return exitSetup
	case s.Reason == nil:
		return exitFailures
	}
	switch s.Reason.Code {
	case schema.ReasonInvalidJob, schema.ReasonIDConflict:
		return exitUsage
	case schema.ReasonUnknownQueue, schema.ReasonNoDeployment:
		return exitSetup
	case schema.ReasonMaxCost:
		return exitLimit
	}
	return exitFailures
}
