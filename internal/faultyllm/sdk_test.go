//go:build sdk

package faultyllm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The providers' own SDKs as they come from their registries: what they send the
// mock takes, and what it answers they read.

func TestSDKGoogle(t *testing.T) {
	s := start(t, Config{APIKey: "mock-key"})
	runPython(t, "google_genai.py", []string{"BASE_URL=" + s.Root()}, "google-genai")
}

func TestSDKAnthropic(t *testing.T) {
	s := start(t, Config{APIKey: "mock-key"})
	runPython(t, "anthropic_sdk.py", []string{"BASE_URL=" + s.Root(), "KEY=mock-key"}, "anthropic")
}

func TestSDKAWS(t *testing.T) {
	s := start(t, Config{APIKey: "AKIDMOCK"})
	runPython(t, "boto.py", []string{"BASE_URL=" + s.Root(), "KEY=AKIDMOCK"}, "boto3")
}

func TestSDKCohere(t *testing.T) {
	s := start(t, Config{APIKey: "mock-key"})
	runPython(t, "cohere_sdk.py", []string{"BASE_URL=" + s.Root(), "KEY=mock-key"}, "cohere")
}

// runPython runs a script of testdata where the packages are installed.
func runPython(t *testing.T, script string, env []string, packages ...string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	python := filepath.Join(dir, "venv", "bin", "python")
	for _, command := range [][]string{
		{"python3", "-m", "venv", "venv"},
		append([]string{python, "-m", "pip", "install", "--quiet"}, packages...),
		{python, path},
	} {
		c := exec.CommandContext(t.Context(), command[0], command[1:]...)
		c.Dir, c.Env = dir, append(os.Environ(), env...)
		out, err := c.CombinedOutput()
		t.Logf("%v\n%s", command, out)
		if err != nil {
			t.Fatal(err)
		}
	}
}
