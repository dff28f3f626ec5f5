package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pelton/schema"
)

// What a client sends for a batch is read or refused, and what is read is bounded.
func FuzzOrder(f *testing.F) {
	for _, seed := range []string{
		`{"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h"}`,
		`{"input_file_id":"file-1","endpoint":"/v1/embeddings","completion_window":"2d","metadata":{"a":"b"},"output_expires_after":{"anchor":"created_at","seconds":3600}}`,
		`{"input_file_id":1}`, `{"completion_window":"-1h"}`, `{"unknown":true}`, `[]`, `null`, ``, `{"metadata":{"a":{}}}`, `{} {}`,
		`{"input_file_id":"x","endpoint":"x","completion_window":"9999999999h"}`, `{"input_file_id":"x","endpoint":"x","completion_window":"365d"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOrder(strings.NewReader(text))
		if err != nil {
			if answer := asAPIError(err); answer.Status < 400 || answer.Status >= 500 || answer.Message == "" {
				t.Errorf("%q: %+v", text, answer)
			}
			return
		}
		if o.InputFileID == "" || o.Endpoint == "" || o.CompletionWindow == "" {
			t.Errorf("%q: %+v", text, o)
		}
		if d, err := parseWindow(o.CompletionWindow); err == nil && d <= 0 {
			t.Errorf("%q is %v", o.CompletionWindow, d)
		}
		if o.KeepOutput != nil && o.KeepOutput.check("p") == nil && (o.KeepOutput.Seconds < 3600 || o.KeepOutput.Seconds > 2592000) {
			t.Errorf("%q: kept for %d s", text, o.KeepOutput.Seconds)
		}
		job := &schema.Job{}
		if setMetadata(job, o.Metadata, origin{Key: "k", InputFile: o.InputFileID, KeepFor: 7200}) != nil {
			return
		}
		if from, own := readMetadata(job.Metadata); from.Key != "k" || from.InputFile != o.InputFileID || len(own) != len(o.Metadata) {
			t.Errorf("%q became %s", text, job.Metadata)
		}
	})
}

// A job may come from elsewhere with any metadata: it is a batch all the same, and
// no key's but by what the gateway wrote.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{``, `null`, `[]`, `{"team":"search"}`, `{"n":1,"o":{"p":[]}}`, `{"pelton_batch":{"key":"k"}}`, `{"` + originKey + `":{"key":7}}`, `{"` + originKey + `":"x","a":"b"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text != "" && !json.Valid([]byte(text)) {
			return // no job's
		}
		b := batchOf(&schema.State{ID: "j", Queue: "q", State: schema.Running, CreatedAt: time.Now(), Metadata: json.RawMessage(text)}, false, time.Hour)
		if b.ID != "batch_j" || b.Status == "" {
			t.Errorf("%q: %+v", text, b)
		}
		if _, err := json.Marshal(b); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// A file of keys is read or refused; no key comes out of it without name, queue,
// rights and the hash of a token.
func FuzzKeys(f *testing.F) {
	hash := strings.Repeat("0a", 32)
	for _, seed := range []string{
		"keys:\n  - {name: a, sha256: " + hash + ", queue: default, rights: [read, write, delete]}\n",
		"keys: []", "keys:\n", "", "keys: 7", "keys:\n - name: a\n   name: b", "keys:\n  - &x {name: a}\n  - *x\n", "other: 1", "keys:\n  - {rights: [all]}\n", "\x00", "keys:\n  - 7\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys("keys.yaml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "keys.yaml") {
				t.Errorf("%q: %v does not name the file", text, err)
			}
			return
		}
		if len(keys.Queues()) == 0 {
			t.Errorf("%q: no queue", text)
		}
		if keys.find("") != nil {
			t.Errorf("%q: a key without a token", text)
		}
	})
}
