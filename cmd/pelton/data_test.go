package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus is a file as people have it, with what each of its prompts has to be.
type corpus struct {
	name, prompt string // of the file in PELTON_TEST_DATA, and its template
	lines        int    // that it has there
	own          string // a few lines of our own, where there is no such folder
	text         func(line string) string
}

var corpora = []corpus{
	{
		name: "gsm8k-test.jsonl", prompt: "{{.question}}", lines: 1319,
		own: `{"question": "A box holds 12 eggs. How many do 3 boxes hold?", "answer": "36"}
{"question": "It\u2019s 5 o\u2019clock.\nWhat time is it in two hours?", "answer": "7"}
`,
		text: func(line string) string {
			var row struct{ Question string }
			_ = json.Unmarshal([]byte(line), &row)
			return row.Question
		},
	},
	{
		name: "mt-bench-question.jsonl", prompt: "{{index .turns 0}}", lines: 80,
		own: `{"question_id": 1, "turns": ["Write a poem.", "Make it rhyme."]}
{"question_id": 2, "turns": ["Name three rivers.", "And three lakes."]}
{"question_id": 3, "turns": ["Count to ten.", "Backwards."]}
`,
		text: func(line string) string {
			var row struct{ Turns []string }
			_ = json.Unmarshal([]byte(line), &row)
			return row.Turns[0]
		},
	},
}

// file returns the real file, or one with the lines of our own, and its prompts.
func (d *corpus) file(b *bench) (path string, prompts []string) {
	b.t.Helper()
	if folder := os.Getenv("PELTON_TEST_DATA"); folder != "" {
		path = filepath.Join(folder, d.name)
	} else {
		path = b.write(d.name, d.own)
		d.lines = strings.Count(d.own, "\n")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		prompts = append(prompts, d.text(line))
	}
	if len(prompts) != d.lines {
		b.t.Fatalf("%s has %d lines, want %d", path, len(prompts), d.lines)
	}
	return path, prompts
}

// check reads results: line i is index i and answers prompt i; none is missing.
func (d *corpus) check(b *bench, results string, prompts []string) {
	b.t.Helper()
	i := 0
	for line := range strings.Lines(results) {
		var r struct {
			Index    int
			Status   string
			Request  struct{ Messages []struct{ Content string } }
			Response struct {
				Body struct {
					Choices []struct{ Message struct{ Content string } }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatalf("line %d: %v", i+1, err)
		}
		if r.Index != i || r.Status != "succeeded" || i >= len(prompts) {
			b.t.Fatalf("line %d holds index %d, %s", i+1, r.Index, r.Status)
		}
		if got := r.Request.Messages[0].Content; got != prompts[i] {
			b.t.Fatalf("request %d asked %q, want %q", i, got, prompts[i])
		}
		said := strings.TrimSuffix(strings.TrimPrefix(r.Response.Body.Choices[0].Message.Content, "You said: "), "…")
		if said == "" || !strings.HasPrefix(prompts[i], said) {
			b.t.Fatalf("answer %d is %q, to %q", i, said, prompts[i])
		}
		i++
	}
	if i != len(prompts) {
		b.t.Errorf("%d results for %d prompts", i, len(prompts))
	}
}

func TestDataThroughRun(t *testing.T) {
	for _, d := range corpora {
		t.Run(d.name, func(t *testing.T) {
			b := newBench(t)
			path, prompts := d.file(b)
			out := filepath.Join(b.dir, "out.jsonl")
			if code := b.run("run", "--mock", "--prompt", d.prompt, "--include-request", "-c", "64", "-o", out, path); code != 0 {
				t.Fatalf("exit %d\n%s", code, b.err.String())
			}
			results, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			d.check(b, string(results), prompts)
		})
	}
}

func TestDataThroughAService(t *testing.T) {
	for _, d := range corpora {
		t.Run(d.name, func(t *testing.T) {
			b := newBench(t)
			path, prompts := d.file(b)
			url := filepath.Join(b.dir, "url")
			stopped := b.start("worker", "--listen", "127.0.0.1:0", "--store-dir", filepath.Join(b.dir, "store"), "--url-file", url)
			b.until("the worker is ready", func() bool { _, err := os.Stat(url); return err == nil })
			server, err := os.ReadFile(url)
			if err != nil {
				t.Fatal(err)
			}
			at := strings.TrimSpace(string(server))
			if code := b.run("submit", "-s", at, "--model", "m", "--prompt", d.prompt, "--include-request", "-c", "64", path); code != 0 {
				t.Fatalf("submit: exit %d\n%s", code, b.err.String())
			}
			id := strings.TrimSpace(b.out.String())
			out := filepath.Join(b.dir, "out.jsonl")
			if code := b.run("results", "-s", at, "-o", out, id); code != 0 {
				t.Fatalf("results of %s: exit %d\n%s", id, code, b.err.String())
			}
			results, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			d.check(b, string(results), prompts)
			b.signals <- os.Interrupt
			if code := <-stopped; code != 0 && code != exitInterrupted {
				t.Errorf("the worker ended with %d", code)
			}
		})
	}
}
