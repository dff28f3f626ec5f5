//go:build sdk

package gateway_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"pelton/internal/gateway"
)

// OpenAI's SDKs as they come from their registries; only the base URL is another.

func TestSDKPython(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, nil, "python3", "-m", "venv", "venv")
	python := filepath.Join(dir, "venv", "bin", "python")
	run(t, dir, nil, python, "-m", "pip", "install", "--quiet", "openai")
	run(t, dir, sdkWorld(t), python, testdata(t, "sdk.py"))
}

func TestSDKNode(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "package.json"), `{"private":true,"type":"module"}`)
	run(t, dir, nil, "npm", "install", "--silent", "--no-audit", "--no-fund", "openai")
	script, err := os.ReadFile(testdata(t, "sdk.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sdk.mjs"), string(script)) // modules are looked for beside it
	run(t, dir, sdkWorld(t), "node", "sdk.mjs")
}

func sdkWorld(t *testing.T) []string {
	w := newWorld(t, func(c *gateway.Config) {
		c.Keys = keyFile(t, "owner search default read,write,delete", "reader search default read", "other ads default read,write,delete")
	})
	w.e.Worker(defaultQueue)
	return []string{"BASE_URL=" + w.url}
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	t.Logf("%s %v\n%s", name, args, out)
	if err != nil {
		t.Fatal(err)
	}
}
