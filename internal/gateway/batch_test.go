package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/internal/gateway"
	"pelton/jobs"
	"pelton/schema"
)

func TestBatchOfUnknownUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	b := w.until(w.create(order(w.upload(line("dropped", "x", `{"fault":"close","times":1}`)+line("fine", "y", "")).ID)).ID, "completed")
	if b.Pelton.UnknownAttempts != 1 || b.Usage == nil {
		t.Errorf("%+v", b)
	}
}

func TestBatchFromUploadToDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	const n = 50
	input := lines(n) + line("bad", "x", `{"status":400}`) + line("", "unnamed", "")
	f := w.upload(input)
	if f.Purpose != "batch" || f.Filename != "in.jsonl" || f.Bytes != int64(len(input)) || f.ExpiresAt <= f.CreatedAt {
		t.Errorf("%+v", f)
	}
	if got := w.content(f.ID); got != input {
		t.Error("the file came back otherwise")
	}
	b := w.create(order(f.ID, "metadata", `{"team":"search","pelton_concurrency":"4"}`))
	if b.InputFileID != f.ID || b.CompletionWindow != "24h" || b.Metadata["team"] != "search" {
		t.Errorf("%+v", b)
	}
	// The batch has its own copy: the file is not needed any more.
	w.ok(w.send("DELETE", "/v1/files/"+f.ID, nil), "DeleteFileResponse", &struct{}{})
	w.refused(w.send("GET", "/v1/files/"+f.ID, nil), http.StatusNotFound, "")
	b = w.until(b.ID, "completed")
	if b.Pelton.UnknownAttempts != 0 {
		t.Errorf("%d unknown attempts", b.Pelton.UnknownAttempts)
	}
	if c := b.RequestCounts; c.Total != n+2 || c.Completed != n+1 || c.Failed != 1 || b.Usage == nil || b.Usage.TotalTokens == 0 {
		t.Errorf("%+v", b)
	}
	output := parsed(t, w.content(b.OutputFileID))
	if len(output) != n+1 {
		t.Fatalf("%d lines", len(output))
	}
	for i, l := range output {
		want, said := fmt.Sprintf("request-%d", i), fmt.Sprintf("You said: %d", i)
		if i == n {
			want, said = fmt.Sprintf("%s.%d", b.job(), n+1), "You said: unnamed"
		}
		if l.CustomID != want || l.Error != nil || l.Response.StatusCode != 200 || l.Response.Body.Choices[0].Message.Content != said {
			t.Errorf("line %d: %+v", i, l)
		}
	}
	failed := parsed(t, w.content(b.ErrorFileID))
	if len(failed) != 1 || failed[0].CustomID != "bad" || failed[0].Error == nil || failed[0].Response.StatusCode != 400 {
		t.Errorf("%+v", failed)
	}
	state, err := jobs.ClientOn(w.b, "default").Job("default", b.job()).State(t.Context())
	if err != nil || state.State != schema.CompletedWithErrors {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestInvalidInputFailsTheBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	for name, test := range map[string]struct {
		input, endpoint, code, param string
		line                         int
	}{
		"no JSON":        {lines(1) + "{oops\n", "/v1/chat/completions", "invalid_json_line", "", 2},
		"other endpoint": {lines(1), "/v1/embeddings", "url_mismatch", "url", 1},
		"twice":          {lines(1) + lines(1), "/v1/chat/completions", "duplicate_custom_id", "custom_id", 2},
		"no model":       {`{"custom_id":"a","url":"/v1/chat/completions","body":{"messages":[]}}`, "/v1/chat/completions", "missing_required_parameter", "body.model", 1},
		"only blanks":    {"\n\n", "/v1/chat/completions", "empty_file", "", 0},
	} {
		b := w.create(order(w.upload(test.input).ID, "endpoint", test.endpoint))
		b = w.until(b.ID, "failed")
		if b.Errors == nil || len(b.Errors.Data) == 0 {
			t.Errorf("%s: %+v", name, b)
			continue
		}
		if e := b.Errors.Data[0]; e.Code != test.code || e.Line != test.line || e.Param != test.param || e.Message == "" {
			t.Errorf("%s: %+v", name, e)
		}
		if b.OutputFileID != "" || b.ErrorFileID != "" {
			t.Errorf("%s: has files: %+v", name, b)
		}
	}
	if calls := w.e.LLM.Stats().Calls; calls != 0 {
		t.Errorf("%d calls were made for batches that are not valid", calls)
	}
	// Told to, it leaves such lines out.
	// A line may name the endpoint as Azure does, and so may the batch.
	azure := w.create(order(w.upload(`{"custom_id":"a","method":"POST","url":"/chat/completions","body":{"model":"m","messages":[]}}`+"\n").ID, "endpoint", "/chat/completions"))
	if azure = w.until(azure.ID, "completed"); azure.RequestCounts.Completed != 1 {
		t.Errorf("%+v", azure)
	}
	b := w.create(order(w.upload(lines(1)+"{oops\n").ID, "metadata", `{"pelton_invalid":"skip"}`))
	b = w.until(b.ID, "completed")
	if c := b.RequestCounts; c.Completed != 1 || c.Failed != 1 {
		t.Errorf("%+v", c)
	}
}

// A file with too many lines makes a batch that has failed, as at OpenAI, and calls
// nobody; made again with the same key it is the same.
func TestTooManyLinesFailTheBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.MaxLines = 10 })
	w.e.Worker(defaultQueue)
	long := w.upload(lines(11))
	for _, metadata := range []string{"{}", `{"pelton_invalid":"skip"}`} {
		made := w.create(order(long.ID, "metadata", metadata), "Idempotency-Key", "k"+metadata)
		b := w.until(made.ID, "failed")
		if b.Errors == nil || len(b.Errors.Data) != 1 || b.Errors.Data[0].Code != "too_many_tasks" || !strings.Contains(b.Errors.Data[0].Message, "11 lines") {
			t.Errorf("%+v", b.Errors)
		}
		if again := w.create(order(long.ID, "metadata", metadata), "Idempotency-Key", "k"+metadata); again.ID != b.ID {
			t.Errorf("%s, then %s", b.ID, again.ID)
		}
	}
	if calls := w.e.LLM.Stats().Calls; calls != 0 {
		t.Errorf("%d calls", calls)
	}
	w.until(w.create(order(w.upload(lines(10)).ID)).ID, "completed")
}

func TestWhatExpiresHasItsLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	input := line("quick", "a", "") + line("stuck", "b", `{"latency_ms":60000}`) + line("late", "c", `{"latency_ms":60000}`) + line("", "d", "")
	b := w.create(order(w.upload(input).ID, "completion_window", "6s", "metadata", `{"pelton_concurrency":"1"}`))
	b = w.until(b.ID, "expired")
	if c := b.RequestCounts; c.Total != 4 || c.Completed != 1 || c.Failed != 3 {
		t.Errorf("%+v", c)
	}
	if output := parsed(t, w.content(b.OutputFileID)); len(output) != 1 || output[0].CustomID != "quick" {
		t.Errorf("%+v", output)
	}
	expired := parsed(t, w.content(b.ErrorFileID))
	for i, want := range []string{"stuck", "late", b.job() + ".3"} {
		if len(expired) != 3 || expired[i].CustomID != want || expired[i].Response != nil || expired[i].Error.Code != "batch_expired" {
			t.Fatalf("line %d: %+v", i, expired)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	b := w.create(order(w.upload(line("quick", "a", "") + line("stuck", "b", `{"latency_ms":60000}`)).ID))
	for w.batch(b.ID).RequestCounts.Completed == 0 {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	// What there is can be read while the rest is still running.
	if a := w.send("GET", "/v1/files/file-output-"+b.job()+"/content?pelton_partial=true", nil); len(parsed(t, string(a.body))) != 1 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	w.refused(w.send("GET", "/v1/files/file-output-"+b.job()+"/content", nil), http.StatusNotFound, "")
	w.refused(w.send("GET", "/v1/files/file-output-"+b.job(), nil), http.StatusNotFound, "")
	var got batchObject
	w.ok(w.send("POST", "/v1/batches/"+b.ID+"/cancel", nil), "Batch", &got)
	if got.Status != "cancelling" {
		t.Error(got.Status)
	}
	b = w.until(b.ID, "cancelled")
	if c := b.RequestCounts; c.Completed != 1 || c.Failed != 1 || b.OutputFileID == "" {
		t.Errorf("%+v", b)
	}
	w.ok(w.send("POST", "/v1/batches/"+b.ID+"/cancel", nil), "Batch", &got)
	// Lines that were never begun are listed too, and what was aborted keeps its call.
	many := w.create(order(w.upload(line("quick", "a", "")+line("stuck", "b", `{"latency_ms":60000}`)+line("never", "c", "")+line("", "d", "")).ID, "metadata", `{"pelton_concurrency":"1"}`))
	for w.batch(many.ID).RequestCounts.Completed == 0 || w.e.LLM.Stats().InFlight == 0 {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	w.ok(w.send("POST", "/v1/batches/"+many.ID+"/cancel", nil), "Batch", &got)
	many = w.until(many.ID, "cancelled")
	ids := []string{}
	for _, l := range append(parsed(t, w.content(many.OutputFileID)), parsed(t, w.content(many.ErrorFileID))...) {
		if ids = append(ids, l.CustomID); l.CustomID != "quick" && (l.Error == nil || l.Error.Code != "batch_cancelled") {
			t.Errorf("%+v", l)
		}
	}
	if got := strings.Join(ids, " "); got != "quick stuck never "+many.job()+".3" {
		t.Errorf("lines of %s", got)
	}
	done := w.until(w.create(order(w.upload(lines(1)).ID)).ID, "completed")
	w.refused(w.send("POST", "/v1/batches/"+done.ID+"/cancel", nil), http.StatusConflict, "batch_not_cancellable")
}

// A job is a batch, whoever submitted it, and the other way round.
func TestJobsAreBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	client := w.e.Client()
	if _, err := client.Submit(t.Context(), schema.Job{ID: "nightly", Requests: testenv.Chats(3), Metadata: []byte(`{"n":1,"team":"search"}`)}); err != nil {
		t.Fatal(err)
	}
	if b := w.batch("batch_nightly"); b.Status != "validating" {
		t.Errorf("nobody has taken it: %+v", b)
	}
	over := w.create(order(w.upload(lines(2)).ID))
	w.e.Worker(defaultQueue)
	b := w.until("batch_nightly", "completed")
	if b.Metadata["n"] != "1" || b.Metadata["team"] != "search" || b.RequestCounts.Total != 3 {
		t.Errorf("%+v", b)
	}
	if output := parsed(t, w.content(b.OutputFileID)); len(output) != 3 || output[2].CustomID != "nightly.2" {
		t.Errorf("%+v", output)
	}
	if input := w.content(b.InputFileID); strings.Count(input, "\n") != 3 {
		t.Errorf("its input: %q", input)
	}
	w.until(over.ID, "completed")
	states, err := client.List(t.Context())
	if err != nil || len(states) != 2 {
		t.Fatalf("%d jobs, %v", len(states), err)
	}
	results := 0
	for r, err := range client.Job("default", over.job()).Ordered(t.Context()) {
		if err != nil || r.Err() != nil {
			t.Error(err, r)
		}
		results++
	}
	if results != 2 {
		t.Error(results)
	}
	// Cancelled over NATS.
	stuck := w.create(order(w.upload(line("stuck", "b", `{"latency_ms":60000}`)).ID))
	if err := client.Job("default", stuck.job()).Cancel(t.Context(), "enough"); err != nil {
		t.Fatal(err)
	}
	w.until(stuck.ID, "cancelled")
	if _, err := client.Job("default", stuck.job()).Wait(t.Context()); err != nil {
		t.Error(err)
	}
	// Removed, it is gone here too.
	if _, err := client.Job("default", over.job()).Remove(t.Context(), jobs.DeleteOnly()); err != nil {
		t.Fatal(err)
	}
	w.refused(w.send("GET", "/v1/batches/"+over.ID, nil), http.StatusNotFound, "")
	w.refused(w.send("GET", "/v1/files/"+strings.Replace(over.ID, "batch_", "file-output-", 1)+"/content", nil), http.StatusNotFound, "")
}

func TestIdempotencyKeyMakesOneBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	f := w.upload(lines(2))
	made := make(chan string, 4)
	for range cap(made) {
		go func() { made <- w.create(order(f.ID), "Idempotency-Key", "once").ID }()
	}
	id := <-made
	for range cap(made) - 1 {
		if other := <-made; other != id {
			t.Errorf("%s and %s", id, other)
		}
	}
	w.e.Worker(defaultQueue)
	w.until(id, "completed")
	if again := w.create(order(f.ID), "Idempotency-Key", "once"); again.ID != id || again.Status != "completed" {
		t.Errorf("%+v", again)
	}
	w.refused(w.send("POST", "/v1/batches", strings.NewReader(order(f.ID, "completion_window", "1h")), "Idempotency-Key", "once"),
		http.StatusConflict, "idempotency_key_reused")
	var all listOf[batchObject]
	w.ok(w.send("GET", "/v1/batches", nil), "ListBatchesResponse", &all)
	if len(all.Data) != 1 {
		t.Errorf("%d batches", len(all.Data))
	}
	if calls := w.e.LLM.Stats().Calls; calls != 2 {
		t.Errorf("%d calls for 2 requests", calls)
	}
	if other := w.create(order(f.ID), "Idempotency-Key", "twice"); other.ID == id {
		t.Error("another key, the same batch")
	}
}
