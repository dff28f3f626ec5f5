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

// The exit code tells a wrong key or model from failed requests, however a server
// spells its code.
func TestExitCodeOfAnySpelling(t *testing.T) {
	for code, want := range map[string]int{
		"401": exitSetup, "invalid_api_key": exitSetup, "Invalid_API_Key": exitSetup, "http_401": exitSetup, "402": exitSetup, "403": exitSetup,
		"404": exitSetup, "model_not_found": exitSetup, "DeploymentNotFound": exitSetup, "no_db_connection": exitSetup, "501": exitSetup,
		"400": exitFailures, "422": exitFailures, "http_400": exitFailures, "500": exitFailures, "invalid_request_error": exitFailures,
	} {
		s := &schema.State{
			State: schema.Failed, Total: 2, Counts: schema.Counts{Failed: 2},
			Reason: &schema.Reason{Code: schema.ReasonAllFailed}, Errors: []schema.ErrorCount{{Code: code, Count: 2}},
		}
		if got := exitOf(s); got != want {
			t.Errorf("%s: %d, want %d", code, got, want)
		}
	}
}
