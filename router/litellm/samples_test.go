package litellm

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pelton/router"
)

var samplesEnv = map[string]string{
	"OPENAI_API_KEY": testKey, "ANTHROPIC_API_KEY": "sk-ant", "AZURE_API_KEY_EU": "az-eu", "AZURE_API_KEY_CA": "az-ca",
	"AZURE_API_BASE": "https://res.openai.azure.com", "AZURE_VERSION": "2024-10-21", "AZURE_AD_TOKEN": "eyJ",
	"GROQ_API_KEY": "gsk", "OPENROUTER_API_KEY": "sk-or", "TOGETHER_API_KEY": "tg", "GEMINI_API_KEY": "gem", "DEEPSEEK_API_KEY": "ds",
	"CUSTOM_AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "CUSTOM_AWS_SECRET_ACCESS_KEY": "wJalrXUt",
}

// Files in the style of LiteLLM's documentation. Each says in its comments what
// it comes to: how many deployments, and parts of its warnings or errors.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			deployments, wantErr, wantWarnings := 0, "", []string{}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				if n, ok := strings.CutPrefix(line, "# deployments: "); ok {
					deployments, _ = strconv.Atoi(n)
				} else if w, ok := strings.CutPrefix(line, "# warning: "); ok {
					wantWarnings = append(wantWarnings, w)
				} else if e, ok := strings.CutPrefix(line, "# error: "); ok {
					wantErr = e
				}
			}
			cfg, warnings, err := Load(file, environ(samplesEnv))
			var said []string
			for _, w := range warnings {
				if w.Line == 0 || !strings.HasPrefix(w.String(), file+":") {
					t.Errorf("no line: %s", w)
				}
				said = append(said, w.String())
			}
			all := strings.Join(said, "\n")
			for _, w := range wantWarnings {
				if !strings.Contains(all, w) {
					t.Errorf("no warning %q in:\n%s", w, all)
				}
			}
			for _, text := range said { // nothing is said that is not expected
				if !slices.ContainsFunc(wantWarnings, func(w string) bool { return strings.Contains(text, w) }) {
					t.Errorf("a warning that is not expected: %s", text)
				}
			}
			if wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), wantErr) {
					t.Errorf("error %v, want %q", err, wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Deployments) != deployments {
				t.Errorf("%d deployments, want %d", len(cfg.Deployments), deployments)
			}
			r, err := router.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		})
	}
}
