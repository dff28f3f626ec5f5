package main

import (
	"bytes"
	"strings"
	"testing"

	"pelton/schema"
)

func TestStatusSaysWhatItDoesNotKnow(t *testing.T) {
	cost := 1.5
	s := &schema.State{ID: "j", Queue: "q", State: schema.Succeeded, Total: 3, Usage: &schema.Usage{PromptTokens: 7, CompletionTokens: 8}, Cost: &cost}
	text := func() string {
		var b bytes.Buffer
		if err := stateTable(s).write(&b, 0); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(b.String()), " ")
	}
	if got := text(); !strings.Contains(got, "tokens 7 in, 8 out cost $1.50") || strings.Contains(got, "at least") {
		t.Error(got)
	}
	s.UnknownAttempts = 2
	if got := text(); !strings.Contains(got, "tokens at least 7 in, 8 out cost at least $1.50 not counted 2 calls of unknown usage") {
		t.Error(got)
	}
	s.UnknownAttempts, s.UnpricedAttempts = 0, 1
	if got := text(); !strings.Contains(got, "tokens 7 in, 8 out cost at least $1.50 not counted 1 call of unknown price") {
		t.Error(got)
	}
}
