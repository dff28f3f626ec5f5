//go:build sdk

package anthropic

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// What is sent is what the types of Anthropic's SDK, as it comes from PyPI, allow.
func TestSDKTypes(t *testing.T) {
	var lines bytes.Buffer
	for name, test := range requests {
		model := test.model
		if model == "" {
			model = "claude-sonnet-4-6"
		}
		got, _, err := encoded(t, model, test.body, false)
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(map[string]any{"name": name, "body": json.RawMessage(got)})
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	dir := t.TempDir()
	script, err := filepath.Abs(filepath.Join("testdata", "check.py"))
	if err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(dir, "venv", "bin", "python")
	for _, command := range [][]string{
		{"python3", "-m", "venv", "venv"}, {python, "-m", "pip", "install", "--quiet", "anthropic"}, {python, script},
	} {
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir, c.Stdin = dir, bytes.NewReader(lines.Bytes())
		out, err := c.CombinedOutput()
		t.Logf("%v\n%s", command, out)
		if err != nil {
			t.Fatal(err)
		}
	}
}
