package scrub

import "testing"

const key = "sk-test-0123456789abcdef"

func TestText(t *testing.T) {
	s := New("", "none", "ollama", "sk-1234", key)
	const want = "ollama none [redacted] [redacted]"
	if got := s.Text("ollama none sk-1234 " + key); got != want {
		t.Error(got)
	}
	if got := string(s.Bytes([]byte("ollama none sk-1234 " + key))); got != want {
		t.Error(got)
	}
}
