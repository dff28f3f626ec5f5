package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestSystemd(t *testing.T) {
	unit := read(t, "deploy/systemd/pelton.service")
	if !strings.Contains(unit, "ExecStart=/usr/local/bin/pelton worker\n") {
		t.Error("the unit does not start a worker")
	}
	parses(t, []string{"worker"})
	for line := range strings.Lines(unit + "\n" + read(t, "deploy/systemd/pelton.env")) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "#"), "Environment=")
		for word := range strings.FieldsSeq(line) {
			if name, _, ok := strings.Cut(word, "="); ok && strings.ToUpper(name) == name && strings.Contains(name, "_") {
				known(t, "systemd", name)
			}
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here: the unit was read, not verified")
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "pelton.service")
	// It looks for the program, which is not installed here.
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(unit, "/usr/local/bin/pelton", pelton(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "pelton.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", path).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
}
