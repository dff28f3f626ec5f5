package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// canaries are texts that occur nowhere else, by where they are put.
type canaries map[string]string

func (c canaries) add(where string) string {
	c[where] = "canary-" + where + "-Zq7Yx1"
	return c[where]
}

// inMessages searches every message of every stream of the account, subject,
// headers and content, and returns what it finds.
func (c canaries) inMessages(t *testing.T, e *testenv.Env) (found []string) {
	t.Helper()
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	streams, seen := js.ListStreams(e.Ctx()), 0
	for info := range streams.Info() {
		stream, err := js.Stream(e.Ctx(), info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
			m, err := stream.GetMsg(e.Ctx(), seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			seen++
			whole := fmt.Appendf(nil, "%s\n%v\n%s", m.Subject, m.Header, m.Data)
			for where, text := range c {
				if bytes.Contains(whole, []byte(text)) {
					found = append(found, where+" on "+m.Subject)
				}
			}
		}
	}
	if err := streams.Err(); err != nil || seen == 0 {
		t.Fatalf("%d messages searched, %v", seen, err)
	}
	return found
}

// onDisk searches the files of the store byte for byte.
func (c canaries) onDisk(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil // the server removes files meanwhile
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for where, text := range c {
			if bytes.Contains(data, []byte(text)) {
				name, _ := filepath.Rel(dir, path)
				found = append(found, where+" in "+name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// here makes sure that a search can find what it is to miss later.
func (c canaries) here(t *testing.T, what string, found []string) {
	t.Helper()
	for where := range c {
		if !strings.Contains(strings.Join(found, "\n")+"\n", where+" ") {
			t.Errorf("%s: %s cannot be found before it is erased", what, where)
		}
	}
}

// Other jobs lie between the messages of the one that is erased, so that they
// share files, and are not touched. Once the job is one message, once it is an
// object, with bodies and answers that are objects too.
func TestRemoveErases(t *testing.T) {
	t.Run("message", func(t *testing.T) { removeErases(t, false) })
	t.Run("objects", func(t *testing.T) { removeErases(t, true) })
}

func removeErases(t *testing.T, large bool) {
	const limit = 64 << 10
	e := testenv.New(t, testenv.MaxPayload(limit))
	w := e.Worker(defaultQueue)
	client := e.Client()
	other := func(id string) {
		t.Helper()
		requests := testenv.Chats(20)
		requests[3] = testenv.Chat("3", `{"answer":"`+strings.Repeat("kept ", limit/2)+`"}`)
		if _, err := client.Run(e.Ctx(), schema.Job{ID: id, Requests: requests}); err != nil {
			t.Fatal(err)
		}
	}
	other("before")

	c := canaries{"job": "canaryjobZq7Yx1"}
	inMetadata := canaries{"metadata": "canary-metadata-Zq7Yx1"}
	requests := testenv.Chats(30)
	requests[0] = testenv.Chat(c.add("prompt"), "")
	requests[1].CustomID = c.add("custom")
	requests[2] = testenv.Chat("2", `{"answer":"`+c.add("answer")+`"}`)
	if large {
		requests[4] = testenv.Chat("4", `{"answer":"`+c.add("large")+strings.Repeat(" large", limit)+`"}`)
	}
	requests[5] = testenv.Chat("5", `{"status":400,"message":"`+c.add("error")+`"}`)
	job := schema.Job{ID: c["job"], Requests: requests, IncludeRequest: true, Metadata: []byte(`{"team":"` + inMetadata["metadata"] + `"}`)}
	h, err := client.Submit(e.Ctx(), job)
	if err != nil {
		t.Fatal(err)
	}
	other("between")
	if _, err := h.Wait(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	// The same job published a second time lies in the stream a second time.
	if large {
		if _, err := client.Submit(e.Ctx(), job); err != nil {
			t.Fatal(err)
		}
	} else if again, err := job.AppendJSON(nil); err != nil {
		t.Fatal(err)
	} else if _, err := e.Conn().Request("pelton.jobs.default", again, time.Minute); err != nil {
		t.Fatal(err)
	}
	other("after")
	e.Settled()
	if err := w.Drain(); err != nil {
		t.Fatal(err)
	}
	// What an owner that dies at the end leaves behind.
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"parked", "work"} {
		for _, left := range []string{"before.1 kept", c["job"] + ".7 " + c.add(kind), "after.1 kept"} {
			name, text, _ := strings.Cut(left, " ")
			if _, err := js.Publish(e.Ctx(), "pelton."+kind+".default."+name, []byte(`{"reason":"`+text+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.Cancel(e.Ctx(), c.add("cancel")); err != nil {
		t.Fatal(err)
	}
	if err := client.Job("default", "after").Cancel(e.Ctx(), "kept"); err != nil {
		t.Fatal(err)
	}

	c.here(t, "messages", c.inMessages(t, e))
	inMetadata.here(t, "messages", inMetadata.inMessages(t, e))
	onDisk := canaries{}
	for where, text := range c {
		if where != "work" { // that stream is in memory
			onDisk[where] = text
		}
	}
	onDisk.here(t, "disk", onDisk.onDisk(t, e.Dir))

	removed, err := h.Remove(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	if removed.Jobs != 2 || removed.Results != 31 || removed.Cancels != 1 || removed.States != 1 ||
		removed.Objects > 0 != large || removed.Parked != 1 || removed.Work != 1 || removed.Unlinked != 0 {
		t.Errorf("%+v", removed)
	}
	if found := c.inMessages(t, e); len(found) > 0 {
		t.Errorf("still there: %v", found)
	}
	if found := inMetadata.inMessages(t, e); len(found) > 0 {
		t.Errorf("still there: %v", found)
	}
	for where, text := range onDisk {
		if where == "job" || where == "large" {
			continue // see TestRemovedBytesAreCompacted
		}
		if found := (canaries{where: text}).onDisk(t, e.Dir); len(found) > 0 {
			t.Errorf("still on disk: %v", found)
		}
	}
	if _, err := h.Remove(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for _, id := range []string{"before", "between", "after"} {
		n := 0
		for r, err := range client.Job("default", id).Ordered(e.Ctx()) {
			if err != nil || r.Index != n {
				t.Fatalf("job %s, result %d: %v", id, n, err)
			}
			n++
		}
		if n != 20 {
			t.Errorf("job %s has %d results", id, n)
		}
	}
}

// A result that a worker stores behind a removal goes with the next one.
func TestRemoveRemains(t *testing.T) {
	e := testenv.New(t)
	b := e.Store(defaultQueue)
	late := &schema.Result{ID: "gone.3", Job: "gone", Index: 3, Status: schema.StatusSucceeded, Response: &schema.Response{StatusCode: 200, Body: []byte(`{}`)}}
	if _, err := b.Results.Put(e.Ctx(), "default", late, 5); err != nil {
		t.Fatal(err)
	}
	h := e.Client().Job("default", "gone")
	if removed, err := h.Remove(e.Ctx()); err != nil || removed.Results != 1 || removed.Messages != 1 {
		t.Errorf("%+v, %v", removed, err)
	}
	if _, err := h.Remove(e.Ctx()); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// What a removal cannot overwrite, since it was deleted or replaced before, goes
// when the server writes its files anew: versions of the state, and requests
// above the message limit, which are dropped as soon as they have their results.
func TestRemovedBytesAreCompacted(t *testing.T) {
	const limit = 64 << 10
	e := testenv.New(t, testenv.MaxPayload(limit), testenv.SyncInterval(100*time.Millisecond), testenv.LLM(faultyllm.Config{}))
	e.Worker(defaultQueue)
	client := e.Client()
	other := func(id string) {
		t.Helper()
		requests := []schema.Request{testenv.Chat("0", `{"answer":"`+strings.Repeat("kept ", limit/2)+`"}`)}
		if _, err := client.Run(e.Ctx(), schema.Job{ID: id, Requests: requests}); err != nil {
			t.Fatal(err)
		}
	}
	other("before")
	c := canaries{}
	h, err := client.Submit(e.Ctx(), schema.Job{ID: "gone", Metadata: []byte(`{"m":"` + c.add("metadata") + `"}`),
		Requests: []schema.Request{testenv.Chat(c.add("body")+strings.Repeat(" large", limit), "")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Wait(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	e.Settled()
	other("after")
	if _, err := h.Remove(e.Ctx()); err != nil {
		t.Fatal(err)
	}
	if found := c.inMessages(t, e); len(found) > 0 {
		t.Errorf("still there: %v", found)
	}
	// Files are written anew once they are full, so they are filled.
	js, _ := jetstream.New(e.Conn())
	states, err := js.KeyValue(e.Ctx(), "PELTON_STATE")
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := js.ObjectStore(e.Ctx(), "PELTON_BODIES")
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if _, err := states.Put(e.Ctx(), "filling", make([]byte, limit-1000)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		filling := jetstream.ObjectMeta{Name: "filling", Opts: &jetstream.ObjectMetaOptions{ChunkSize: limit / 2}}
		if _, err := bodies.Put(e.Ctx(), filling, bytes.NewReader(make([]byte, 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		found := c.onDisk(t, e.Dir)
		if len(found) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("still on disk: %v", found)
		}
	}
}
