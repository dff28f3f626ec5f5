package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pelton/internal/dev/testenv"
	"pelton/internal/gateway"
	"pelton/schema"
)

// Every route with every right alone, with a key of somebody else's, a wrong
// one and none. 0 stands for what the route does for who may.
func TestEveryRouteWithAndWithoutRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) {
		c.Keys = keyFile(t, "owner search default read,write,delete", "reader search default read", "writer search default write",
			"deleter search default delete", "other ads default read,write,delete", "elsewhere audit bulk read,write,delete")
	}).as("owner")
	f := w.upload(lines(1))
	b := w.create(order(f.ID))
	const found, forbidden, none, unknown = http.StatusOK, http.StatusForbidden, http.StatusNotFound, http.StatusUnauthorized
	for _, test := range []struct {
		method, path                                   string
		reader, writer, deleter, other, elsewhere, bad int
	}{
		{"POST", "/v1/files", forbidden, found, forbidden, found, found, unknown},
		{"GET", "/v1/files", found, forbidden, forbidden, found, found, unknown},
		{"GET", "/v1/files/" + f.ID, found, forbidden, forbidden, none, none, unknown},
		{"GET", "/v1/files/" + f.ID + "/content", found, forbidden, forbidden, none, none, unknown},
		{"POST", "/v1/batches", forbidden, found, forbidden, http.StatusBadRequest, http.StatusBadRequest, unknown},
		{"GET", "/v1/batches", found, forbidden, forbidden, found, found, unknown},
		{"GET", "/v1/batches/" + b.ID, found, forbidden, forbidden, none, none, unknown},
		{"POST", "/v1/batches/" + b.ID + "/cancel", forbidden, forbidden, found, none, none, unknown},
		{"GET", "/v1/files/file-output-" + b.job() + "/content?pelton_partial=true", found, forbidden, forbidden, none, none, unknown},
		{"GET", "/v1/files/file-input-" + b.job(), none, forbidden, forbidden, none, none, unknown}, // nobody has taken it yet
		{"GET", "/v1/models", found, forbidden, forbidden, found, found, unknown},
		{"GET", "/v1/models/org/model", found, forbidden, forbidden, found, found, unknown},
		{"DELETE", "/v1/files/" + f.ID, forbidden, forbidden, found, none, none, unknown},
		{"GET", "/v1/chat/completions", none, none, none, none, none, none},
	} {
		for _, as := range []struct {
			key  string
			want int
		}{
			{"", test.bad}, {"wrong", test.bad}, {"other", test.other}, {"elsewhere", test.elsewhere},
			{"reader", test.reader}, {"writer", test.writer}, {"deleter", test.deleter},
		} {
			body, kind := "", ""
			switch {
			case test.method == "POST" && test.path == "/v1/files":
				r, k := form(map[string]string{"purpose": "batch"}, "x", lines(1))
				body, kind = readAll(t, r), k
			case test.path == "/v1/batches" && test.method == "POST":
				body = order(f.ID)
			}
			a := w.as(as.key).send(test.method, test.path, strings.NewReader(body), "Content-Type", kind)
			if a.status != as.want {
				t.Errorf("%s %s with key %q: status %d, want %d: %s", test.method, test.path, as.key, a.status, as.want, a.body)
			}
			if a.status >= 400 {
				conforms(t, "ErrorResponse", a.body)
			}
			if a.status == http.StatusUnauthorized && a.header.Get("Www-Authenticate") == "" {
				t.Errorf("%s %s: no challenge", test.method, test.path)
			}
		}
	}
}

// What belongs to another key is in no list either.
func TestListsHoldWhatIsTheKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gateway.Config) {
		c.Keys = keyFile(t, "owner search default read,write", "second search default read", "other ads default read,write", "elsewhere audit bulk read,write")
	})
	f := w.as("owner").upload(lines(1))
	b := w.as("owner").create(order(f.ID))
	if _, err := w.e.Client().Submit(t.Context(), schema.Job{ID: "from-nats", Requests: testenv.Chats(1)}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]struct {
		files   int
		batches string
	}{
		"owner": {1, b.ID + " batch_from-nats"}, "second": {1, b.ID + " batch_from-nats"}, "other": {0, "batch_from-nats"}, "elsewhere": {0, ""},
	} {
		var files listOf[fileObject]
		var batches listOf[batchObject]
		w.as(key).ok(w.as(key).send("GET", "/v1/files", nil), "ListFilesResponse", &files)
		w.as(key).ok(w.as(key).send("GET", "/v1/batches", nil), "ListBatchesResponse", &batches)
		var ids []string
		for _, b := range batches.Data {
			ids = append([]string{b.ID}, ids...) // the newest first
		}
		if got := strings.Join(ids, " "); len(files.Data) != want.files || got != want.batches {
			t.Errorf("%s: %d files, batches %s; want %+v", key, len(files.Data), got, want)
		}
	}
	// A batch of the same idempotency key is another for another key.
	other := w.as("other").upload(lines(1))
	mine := w.as("owner").create(order(f.ID), "Idempotency-Key", "k")
	theirs := w.as("other").create(order(other.ID), "Idempotency-Key", "k")
	if mine.ID == theirs.ID {
		t.Error("two keys share a batch")
	}
	// And a foreign file is no input.
	w.refused(w.as("other").send("POST", "/v1/batches", strings.NewReader(order(f.ID))), http.StatusBadRequest, "invalid_value")
}

func TestWithoutKeysThisMachineAlone(t *testing.T) {
	t.Parallel()
	e := testenv.New(t)
	g := gateway.New(gateway.Config{Store: e.Store(defaultQueue), Log: testenv.Logger(t)})
	t.Cleanup(g.Close)
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"here":                   {func(*http.Request) {}, http.StatusOK},
		"by name":                {func(r *http.Request) { r.Host = "localhost:9321" }, http.StatusOK},
		"IPv6":                   {func(r *http.Request) { r.Host, r.RemoteAddr = "[::1]:9321", "[::1]:1" }, http.StatusOK},
		"a key is not asked for": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, http.StatusOK},
		"from elsewhere":         {func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, http.StatusForbidden},
		"another name":           {func(r *http.Request) { r.Host = "rebound.example" }, http.StatusForbidden},
		"through a proxy":        {func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, http.StatusForbidden},
		"by a page elsewhere": {func(r *http.Request) {
			r.Method = http.MethodPost
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/batches", nil)
		r.Host, r.RemoteAddr = "127.0.0.1:9321", "127.0.0.1:1"
		test.change(r)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, test.want, w.Body)
		}
	}
}

func TestKeyFile(t *testing.T) {
	token, entry, err := gateway.NewKey("search", "bulk")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.yaml")
	load := func(text string) error {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := gateway.LoadKeys(path)
		return err
	}
	if err := load("keys:\n" + entry); err != nil || strings.Contains(entry, token) {
		t.Errorf("%v: %s", err, entry)
	}
	hash := strings.Repeat("ab", 32)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":    {"", "holds no keys"},
		"no list":    {"keys: 3\n", "cannot unmarshal"},
		"other":      {"tokens: []\n", "field tokens not found"},
		"no hash":    {"keys:\n- {name: a}\n", ":2: sha256: must be the 64 hex digits"},
		"short hash": {"keys:\n- {name: a, sha256: abcd}\n", ":2: sha256: must be"},
		"no name":    {"keys:\n- {sha256: " + hash + "}\n", ":2: name: must be"},
		"bad queue":  {"keys:\n- {name: a, queue: a.b, sha256: " + hash + "}\n", ":2: queue: must be"},
		"bad right":  {"keys:\n- {name: a, rights: [admin], sha256: " + hash + "}\n", `:2: rights: there is no "admin"`},
		"no right":   {"keys:\n- {name: a, rights: [], sha256: " + hash + "}\n", ":2: rights: is empty"},
		"more":       {"keys:\n- {name: a, token: x, sha256: " + hash + "}\n", ":2: token: no such field"},
		"twice":      {"keys:\n- {name: a, sha256: " + hash + "}\n- {name: b, sha256: " + hash + "}\n", ":3: b: this sha256 is a's already"},
		"two queues": {"keys:\n- {name: a, sha256: " + hash + "}\n- {name: a, queue: bulk, sha256: " + strings.Repeat("cd", 32) + "}\n", ":3: a: is tied to queue default above"},
	} {
		err := load(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), hash) {
			t.Errorf("%s: shows a hash: %v", name, err)
		}
	}
	if _, err := gateway.LoadKeys(path + "x"); err == nil {
		t.Error("a file that is not there")
	}
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
