package router

import "testing"

func TestScrubber(t *testing.T) {
	s := newScrubber("", "none", "ollama", "sk-1234", testKey)
	if got := s.text("ollama none sk-1234 " + testKey); got != "ollama none [redacted] [redacted]" {
		t.Error(got)
	}
}
