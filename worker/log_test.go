package worker_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"pelton/internal/dev/testenv"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// logBook keeps what is logged; it may be written to and read at once.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines are those that hold a word, decoded.
func (l *logBook) lines(t *testing.T, word string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []map[string]any
	for line := range strings.Lines(l.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if strings.Contains(line, word) {
			list = append(list, fields)
		}
	}
	return list
}

// A job is worth one line, at its end. Retries, which are expected, and requests
// that fail, which the job counts, are worth none but for who looks closely; and
// then each says whose it is.
func TestLogOfAJob(t *testing.T) {
	for _, level := range []zerolog.Level{zerolog.InfoLevel, zerolog.DebugLevel} {
		t.Run(level.String(), func(t *testing.T) {
			env := testenv.New(t)
			book := &logBook{}
			log := zerolog.New(book).Level(level)
			upstreams, err := router.New(&router.Config{Deployments: []router.Deployment{{ID: "mock", Group: "*", Model: "*", BaseURL: env.LLM.URL()}}}, router.WithLogger(log))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(upstreams.Close)
			w := env.Worker(map[string]int{"default": 4}, func(c *worker.Config) { c.Log, c.Router = log, upstreams })
			h, err := env.Client().Submit(env.Ctx(), schema.Job{ID: "j", Requests: []schema.Request{
				testenv.Chat("a", ""), testenv.Chat("b", `{"status":500,"times":1}`), testenv.Chat("c", `{"status":400}`),
			}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Wait(env.Ctx()); err != nil {
				t.Fatal(err)
			}
			if err := w.Drain(); err != nil {
				t.Fatal(err)
			}
			ends := book.lines(t, "job ended")
			if len(ends) != 1 || ends[0]["job"] != "j" || ends[0]["state"] != "completed_with_errors" || ends[0]["succeeded"] != 2.0 {
				t.Errorf("the end's lines: %v", ends)
			}
			failed := book.lines(t, "attempt failed")
			if level == zerolog.InfoLevel {
				if all := book.lines(t, ""); len(all) != 1 {
					t.Errorf("more than the one line: %v", all)
				}
				return
			}
			if len(failed) != 2 {
				t.Errorf("%d failed attempts", len(failed))
			}
			for _, line := range failed {
				if line["job"] != "j" || line["index"] == nil || line["deployment"] != "mock" {
					t.Errorf("it does not say whose it is: %v", line)
				}
			}
		})
	}
}
