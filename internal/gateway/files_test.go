package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/gateway"
	"pelton/jobs"
	"pelton/jobs/store"
)

func TestErrorsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) { c.MaxFile, c.MaxLines = 64<<10, 10 })
	f := w.upload(lines(1))
	upload := func(fields map[string]string, name, content string) answer {
		body, kind := form(fields, name, content)
		return w.send("POST", "/v1/files", body, "Content-Type", kind)
	}
	batch := map[string]string{"purpose": "batch"}
	create := func(body string) answer { return w.send("POST", "/v1/batches", strings.NewReader(body)) }
	for name, test := range map[string]struct {
		got    answer
		status int
		code   string
		says   string
	}{
		"upload of nothing":        {w.send("POST", "/v1/files", nil), 400, "invalid_form", "multipart/form-data"},
		"upload without a file":    {upload(batch, "", ""), 400, "missing_required_parameter", "'file'"},
		"upload without purpose":   {upload(nil, "a", "x"), 400, "missing_required_parameter", "'purpose'"},
		"upload for fine-tuning":   {upload(map[string]string{"purpose": "fine-tune"}, "a", "x"), 400, "invalid_value", "'fine-tune'"},
		"upload of an empty file":  {upload(batch, "a", ""), 400, "empty_file", "empty"},
		"upload that is too large": {upload(batch, "a", strings.Repeat("x", 64<<10+1)), 413, "file_too_large", "65536"},
		"upload with more":         {upload(map[string]string{"purpose": "batch", "colour": "red"}, "a", "x"), 400, "unknown_parameter", "'colour'"},
		"upload with an expiry of a minute": {upload(map[string]string{"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}, "a", "x"),
			400, "invalid_value", "3600"},
		"batch of nothing":          {create(""), 400, "invalid_json", ""},
		"batch that is a list":      {create("[]"), 400, "invalid_json", ""},
		"batch with more":           {create(order(f.ID, "model", `"m"`)), 400, "unknown_parameter", "'model'"},
		"batch with a wrong type":   {create(order(f.ID, "metadata", `{"a":1}`)), 400, "invalid_type", "metadata"},
		"batch without an endpoint": {create(`{"input_file_id":"x","completion_window":"24h"}`), 400, "missing_required_parameter", "'endpoint'"},
		"batch for images":          {create(order(f.ID, "endpoint", "/v1/images/generations")), 400, "invalid_value", "/v1/embeddings"},
		"batch of an unknown file":  {create(order("file-none")), 400, "invalid_value", "file-none"},
		"batch of a strange file":   {create(order("file.>")), 400, "invalid_value", ""},
		"window of words":           {create(order(f.ID, "completion_window", "soon")), 400, "invalid_value", "24h"},
		"window too long":           {create(order(f.ID, "completion_window", "37h")), 400, "invalid_value", "36h0m0s"},
		"setting that is none":      {create(order(f.ID, "metadata", `{"pelton_colour":"red"}`)), 400, "invalid_value", "pelton_concurrency"},
		"the gateway's own name":    {create(order(f.ID, "metadata", `{"pelton_batch":"x"}`)), 400, "invalid_value", ""},
		"concurrency of none":       {create(order(f.ID, "metadata", `{"pelton_concurrency":"0"}`)), 400, "invalid_value", "10000"},
		"output that goes at once":  {create(order(f.ID, "output_expires_after", `{"anchor":"created_at","seconds":1}`)), 400, "invalid_value", "3600"},
		"unknown file":              {w.send("GET", "/v1/files/file-none", nil), 404, "", "file-none"},
		"strange file":              {w.send("GET", "/v1/files/*", nil), 404, "", ""},
		"unknown content":           {w.send("GET", "/v1/files/file-none/content", nil), 404, "", ""},
		"unknown output":            {w.send("GET", "/v1/files/file-output-none/content?pelton_partial=1", nil), 404, "", ""},
		"partial of an upload":      {w.send("GET", "/v1/files/"+f.ID+"/content?pelton_partial=1", nil), 404, "", ""},
		"partial of maybe":          {w.send("GET", "/v1/files/"+f.ID+"/content?pelton_partial=maybe", nil), 400, "invalid_value", ""},
		"unknown batch":             {w.send("GET", "/v1/batches/batch_none", nil), 404, "", "batch_none"},
		"a job's id":                {w.send("GET", "/v1/batches/none", nil), 404, "", ""},
		"strange batch":             {w.send("GET", "/v1/batches/batch_*", nil), 404, "", ""},
		"cancel of none":            {w.send("POST", "/v1/batches/batch_none/cancel", nil), 404, "", ""},
		"limit of none":             {w.send("GET", "/v1/batches?limit=0", nil), 400, "invalid_value", "limit"},
		"after none":                {w.send("GET", "/v1/batches?after=batch_none", nil), 404, "", ""},
		"after no file":             {w.send("GET", "/v1/files?after=file-none", nil), 404, "", ""},
		"order of size":             {w.send("GET", "/v1/files?order=size", nil), 400, "invalid_value", "order"},
		"unknown model":             {w.send("GET", "/v1/models/any-x", nil), 404, "model_not_found", "any-x"},
		"chat":                      {w.send("POST", "/v1/chat/completions", nil), 404, "unknown_url", "/v1/batches"},
		"wrong method":              {w.send("PUT", "/v1/batches", nil), 404, "unknown_url", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := *w
			in.t = t
			if message := in.refused(test.got, test.status, test.code); !strings.Contains(message, test.says) {
				t.Errorf("%q says nothing of %q", message, test.says)
			}
		})
	}
	if files, err := gateway.NewFileStore(w.b).List(t.Context()); err != nil || len(files) != 1 {
		t.Errorf("%d files are left, %v", len(files), err)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var all listOf[struct{ ID string }]
	w.ok(w.send("GET", "/v1/models", nil), "ListModelsResponse", &all)
	if fmt.Sprint(all.Data) != "[{m} {org/model}]" {
		t.Error(all.Data)
	}
	var one struct{ ID string }
	w.ok(w.send("GET", "/v1/models/org/model", nil), "Model", &one)
	if one.ID != "org/model" {
		t.Error(one)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	input := lines(3000)
	f := w.upload(input)
	b := w.until(w.create(order(f.ID, "metadata", `{"pelton_concurrency":"16"}`)).ID, "completed")
	for id, whole := range map[string]string{f.ID: input, b.OutputFileID: w.content(b.OutputFileID)} {
		n := len(whole)
		for header, want := range map[string]struct {
			status int
			body   string
			place  string
		}{
			"bytes=0-9":                   {206, whole[:10], fmt.Sprintf("bytes 0-9/%d", n)},
			"bytes=300001-300020":         {206, whole[300001:300021], fmt.Sprintf("bytes 300001-300020/%d", n)},
			"bytes=-7":                    {206, whole[n-7:], fmt.Sprintf("bytes %d-%d/%d", n-7, n-1, n)},
			fmt.Sprintf("bytes=%d-", n/2): {206, whole[n/2:], fmt.Sprintf("bytes %d-%d/%d", n/2, n-1, n)},
			fmt.Sprintf("bytes=%d-", n+1): {416, "", fmt.Sprintf("bytes */%d", n)},
			"lines=1-2":                   {416, "", ""},
		} {
			a := w.send("GET", "/v1/files/"+id+"/content", nil, "Range", header)
			if a.status != want.status || want.status == 206 && string(a.body) != want.body || want.place != "" && a.header.Get("Content-Range") != want.place {
				t.Errorf("%s, %s: status %d, %d bytes, %q", id, header, a.status, len(a.body), a.header.Get("Content-Range"))
			}
		}
		tag := w.send("HEAD", "/v1/files/"+id+"/content", nil).header
		if tag.Get("Accept-Ranges") != "bytes" || tag.Get("Content-Length") != fmt.Sprint(n) {
			t.Errorf("%s: %v", id, tag)
		}
		if a := w.send("GET", "/v1/files/"+id+"/content", nil, "If-None-Match", tag.Get("Etag")); a.status != http.StatusNotModified {
			t.Errorf("%s: status %d", id, a.status)
		}
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	var ids, batches []string
	f := w.upload(lines(1))
	ids = append(ids, f.ID)
	for range 4 {
		ids = append(ids, w.upload(lines(1)).ID)
		batches = append(batches, w.until(w.create(order(f.ID)).ID, "completed").ID)
	}
	seen := walk[batchObject](w, "/v1/batches?limit=3", "ListBatchesResponse", func(b batchObject) string { return b.ID })
	if len(seen) != 4 || seen[0] != batches[3] || seen[3] != batches[0] {
		t.Errorf("%v, want the newest of %v first", seen, batches)
	}
	name := func(f fileObject) string { return f.ID }
	if all := walk[fileObject](w, "/v1/files?limit=2", "ListFilesResponse", name); len(all) != len(ids)+len(batches) {
		t.Errorf("%d files", len(all))
	}
	for _, order := range []string{"asc", "desc"} {
		got := walk[fileObject](w, "/v1/files?limit=2&purpose=batch&order="+order, "ListFilesResponse", name)
		if len(got) != len(ids) {
			t.Errorf("%s: %v", order, got)
		}
	}
	outputs := walk[fileObject](w, "/v1/files?purpose=batch_output", "ListFilesResponse", name)
	if len(outputs) != len(batches) || !strings.HasPrefix(outputs[0], "file-output-") {
		t.Error(outputs)
	}
	if got := walk[fileObject](w, "/v1/files?purpose=vision", "ListFilesResponse", name); len(got) != 0 {
		t.Error(got)
	}
	w.ok(w.send("DELETE", "/v1/files/"+outputs[0], nil), "DeleteFileResponse", &struct{}{})
	if left := walk[fileObject](w, "/v1/files?purpose=batch_output", "ListFilesResponse", name); !slices.Equal(left, outputs[1:]) {
		t.Errorf("%v are left of %v", left, outputs)
	}
}

// Output and error file are deleted each by itself; the results are erased with the
// last of them, and the batch stays.
func TestResultsGoWithTheLastFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	b := w.until(w.create(order(w.upload(lines(3)+line("bad", "x", `{"status":400}`)).ID)).ID, "completed")
	key := store.JobKey{Queue: "default", ID: b.job()}
	there := func() bool {
		t.Helper()
		some, err := w.b.Results.MayRead(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return some
	}
	gone := func(id string) {
		t.Helper()
		w.ok(w.send("DELETE", "/v1/files/"+id, nil), "DeleteFileResponse", &struct{}{})
		w.refused(w.send("GET", "/v1/files/"+id, nil), http.StatusNotFound, "")
		w.refused(w.send("GET", "/v1/files/"+id+"/content", nil), http.StatusNotFound, "")
		w.refused(w.send("GET", "/v1/files/"+id+"/content?pelton_partial=true", nil), http.StatusNotFound, "")
		w.refused(w.send("DELETE", "/v1/files/"+id, nil), http.StatusNotFound, "")
	}
	gone(b.OutputFileID)
	if failed := parsed(t, w.content(b.ErrorFileID)); len(failed) != 1 || !there() {
		t.Errorf("%d lines of the other file", len(failed))
	}
	gone(b.ErrorFileID)
	if there() {
		t.Error("results are left")
	}
	if again := w.batch(b.ID); again.Status != "completed" || again.RequestCounts != b.RequestCounts {
		t.Errorf("%+v", again)
	}
	_, err := jobs.ClientOn(w.b, "default").Job("default", b.job()).AgedOut(t.Context())
	if err != nil {
		t.Error(err)
	}
	a := w.send("DELETE", "/v1/files/file-input-"+b.job(), nil)
	w.refused(a, http.StatusBadRequest, "file_not_deletable")
}

// The only file is the last one. A process that died between the mark and the
// erasure is followed by one that clears away.
func TestResultsGoWithTheOnlyFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.e.Worker(defaultQueue)
	for _, died := range []bool{false, true} {
		b := w.until(w.create(order(w.upload(lines(3)).ID)).ID, "completed")
		if died {
			if err := gateway.NewFileStore(w.b).MarkGone(t.Context(), "default", b.OutputFileID); err != nil {
				t.Fatal(err)
			}
			gateway.SweepGone(t, w.b)
		} else {
			w.ok(w.send("DELETE", "/v1/files/"+b.OutputFileID, nil), "DeleteFileResponse", &struct{}{})
		}
		some, err := w.b.Results.MayRead(t.Context(), store.JobKey{Queue: "default", ID: b.job()})
		if some || err != nil {
			t.Errorf("died %v: results are left: %v, %v", died, some, err)
		}
	}
}

// walk reads all pages of a list.
func walk[T any](w *world, path, schema string, id func(T) string) (ids []string) {
	w.t.Helper()
	for after := ""; ; {
		var page listOf[T]
		at := path
		if after != "" {
			at += "&after=" + after
		}
		w.ok(w.send("GET", at, nil), schema, &page)
		for _, item := range page.Data {
			ids = append(ids, id(item))
		}
		if len(page.Data) > 0 && (page.FirstID != id(page.Data[0]) || page.LastID != id(page.Data[len(page.Data)-1])) {
			w.t.Errorf("%s: first %s, last %s", at, page.FirstID, page.LastID)
		}
		if !page.HasMore {
			return ids
		}
		after = page.LastID
	}
}

func TestFilesAndOutputsExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	body, kind := form(map[string]string{"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}, "a b.jsonl", lines(1))
	var f fileObject
	w.ok(w.send("POST", "/v1/files", body, "Content-Type", kind), "OpenAIFile", &f)
	if kept := f.ExpiresAt - f.CreatedAt; kept < 3599 || kept > 3601 {
		t.Errorf("kept for %d s", kept)
	}
	w.e.Worker(defaultQueue)
	b := w.until(w.create(order(f.ID, "output_expires_after", `{"anchor":"created_at","seconds":7200}`)).ID, "completed")
	var out fileObject
	w.ok(w.send("GET", "/v1/files/"+b.OutputFileID, nil), "OpenAIFile", &out)
	if kept := out.ExpiresAt - out.CreatedAt; kept != 7200 {
		t.Errorf("the output is kept for %d s", kept)
	}
}

// A client that goes away in the middle of an upload leaves nothing behind.
func TestUploadThatBreaksOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	body, kind := form(map[string]string{"purpose": "batch"}, "in.jsonl", strings.Repeat("x", 4<<20))
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", kind, len(data))
	if _, err := conn.Write(data[:3<<20]); err != nil {
		t.Fatal(err)
	}
	awaitPieces(t, w, func(n uint64) bool { return n > 0 })
	_ = conn.Close()
	awaitPieces(t, w, func(n uint64) bool { return n == 0 })
	// Nor does one whose form has no end.
	a := w.send("POST", "/v1/files", bytes.NewReader(data[:3<<20]), "Content-Type", kind)
	w.refused(a, http.StatusBadRequest, "invalid_form")
	awaitPieces(t, w, func(n uint64) bool { return n == 0 })
	if files, err := gateway.NewFileStore(w.b).List(t.Context()); err != nil || len(files) > 0 {
		t.Error(files, err)
	}
}

// awaitPieces waits until what lies under uploads in the store is as it should be.
func awaitPieces(t *testing.T, w *world, good func(uint64) bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		s, err := jobs.ClientOn(w.b, "default").Storage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, stream := range s.Streams {
			if stream.Name == "OBJ_PELTON_INPUT" && good(stream.Messages) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s.Streams)
		}
	}
}

// An answer that cannot be finished is not taken for a whole one.
func TestDownloadOfWhatGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	f := w.upload(strings.Repeat("x", 28<<20))
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/v1/files/"+f.ID+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if _, err := io.ReadFull(got.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	var stored *gateway.File
	if stored, err = gateway.NewFileStore(w.b).Get(t.Context(), f.ID); err == nil {
		err = gateway.NewFileStore(w.b).Remove(t.Context(), stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, got.Body); err == nil {
		t.Errorf("%d bytes and no error", n)
	}
}

// A server's own bounds on time do not end an upload, a create or a download that
// takes longer, so long as it goes on.
func TestServersTimeoutsAreNotOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	g := gateway.New(gateway.Config{Store: w.b, Log: testenv.Logger(t)})
	const bound = time.Second
	server := httptest.NewUnstartedServer(g)
	server.Config.ReadTimeout, server.Config.WriteTimeout = bound, bound
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		g.Close()
	})
	w.url = server.URL
	body, kind := form(map[string]string{"purpose": "batch"}, "in.jsonl", strings.Repeat("x", 40<<20))
	pause := pausing{r: body, after: 1 << 20, pause: 2 * bound}
	var f fileObject
	w.ok(w.send("POST", "/v1/files", &pause, "Content-Type", kind), "OpenAIFile", &f)
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+"/v1/files/"+f.ID+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	pause = pausing{r: got.Body, after: 1 << 20, pause: 2 * bound}
	if n, err := io.Copy(io.Discard, &pause); err != nil || n != 40<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// pausing is a reader that stops once for a while.
type pausing struct {
	r     io.Reader
	after int
	pause time.Duration
}

func (p *pausing) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.after > 0 {
		if p.after -= n; p.after <= 0 {
			<-time.After(p.pause)
		}
	}
	return n, err
}

// Results above the message limit are in the output like others.
func TestLargeResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, testenv.MaxPayload(64<<10))
	w.e.Worker(defaultQueue)
	text := strings.Repeat("long ", 40<<10)
	b := w.until(w.create(order(w.upload(line("a", "x", `{"answer":"`+text+`"}`)+line("", "short", "")).ID)).ID, "completed")
	output := parsed(t, w.content(b.OutputFileID))
	if len(output) != 2 || output[0].Response.Body.Choices[0].Message.Content != text {
		t.Errorf("%d lines, the first of %d characters", len(output), len(output[0].Response.Body.Choices[0].Message.Content))
	}
}

// Every answer carries an id that the log has too: the caller's, or one of ours.
func TestAnswersCarryARequestID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for path, status := range map[string]int{"/v1/files": 200, "/v1/files/file-none": 404, "/nowhere": 404, "/v1/models": 200} {
		for _, given := range []string{"", "mine-1", "no\u00e9", strings.Repeat("x", 200), "a b"} {
			a := w.send("GET", path, nil, "X-Request-Id", given)
			got := a.header.Get("X-Request-Id")
			if want := given == "mine-1"; a.status != status || want && got != given || !want && !strings.HasPrefix(got, "req_") {
				t.Errorf("%s with %q: status %d, id %q", path, given, a.status, got)
			}
		}
	}
	without := newWorld(t, func(c *gateway.Config) { c.Keys = &gateway.Keys{} })
	if a := without.send("GET", "/v1/files", nil); a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("X-Request-Id"), "req_") {
		t.Errorf("status %d, %v", a.status, a.header)
	}
}
