package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	for _, v := range variables { // of the machine the tests run on
		os.Unsetenv(v.name)
	}
	goleak.VerifyTestMain(m)
}

func settingsFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pelton.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(c.Queues, Queues{{"default", 256}}) || c.Slots != 256 || c.Prefix != "pelton" ||
		c.ResultsMaxAge != 72*time.Hour || c.Replicas != 1 || c.StoreDir != "/data/pelton" ||
		c.Sync != (Sync{}) || c.LogLevel != "info" || c.LogFormat != "auto" || c.Remote() {
		t.Errorf("%+v", c)
	}
	if c.WorkerName == "" {
		t.Error("no worker name")
	}
}

// Every variable can be set everywhere it should be, and the stronger wins.
func TestPrecedence(t *testing.T) {
	path := settingsFile(t, `
model_list: [{model_name: m}]
pelton_settings:
  slots: 1
  queues: {default: 3, bulk: 4}
  reply_allow: [a.>, b]
  replicas: 3
  results_max_age: 3h
  nats_url:
  log_level: warn
`)
	t.Setenv("PELTON_CONFIG", path)
	t.Setenv("PELTON_REPLICAS", "2")
	t.Setenv("PELTON_LOG_LEVEL", "error")
	t.Setenv("PELTON_SYNC", "always")
	t.Setenv("PELTON_SLOTS", "") // as compose files pass what is not set
	c, err := Load(Flag{"--log-level", "PELTON_LOG_LEVEL", "debug"}, Flag{"--server", "NATS_URL", "nats://h"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Slots, c.Queues.String(), c.ReplyAllow.String(), c.Replicas, c.ResultsMaxAge, c.LogLevel, c.Sync.String(), c.NATSURL, c.File}
	want := []any{1, "default=3,bulk=4", "a.>,b", 2, 3 * time.Hour, "debug", "always", "nats://h", path}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !c.Remote() {
		t.Error("NATS_URL is set and Remote is false")
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		file string // settings file
		want []string
	}{
		{name: "several at once", env: map[string]string{
			"PELTON_SLOTS": "many", "PELTON_RESULTS_MAX_AGE": "3 days", "PELTON_REPLICAS": "9", "PELTON_LOG_FORMAT": "xml",
		}, want: []string{
			`PELTON_SLOTS: must be a whole number, not "many"`,
			`PELTON_RESULTS_MAX_AGE: must be a duration like 72h or 90s, not "3 days"`,
			`PELTON_REPLICAS: must be from 1 to 5, not 9`,
			`PELTON_LOG_FORMAT: must be one of auto, console, json, not "xml"`,
		}},
		{name: "unknown", env: map[string]string{"PELTON_SLOT": "1", "PELTON_HELLO_WORLD_AND_ALL": "1"}, want: []string{
			`PELTON_HELLO_WORLD_AND_ALL: no such setting`,
			`PELTON_SLOT: no such setting; did you mean PELTON_SLOTS?`,
		}},
		{name: "from Kubernetes", env: map[string]string{
			"PELTON_SERVICE_HOST": "1", "PELTON_PORT": "tcp://x", "PELTON_PORT_8080_TCP_ADDR": "1",
			"PELTON_WORKER_SERVICE_PORT_HTTP": "1", "PELTON_WORKER_PORT": "1",
		}},
		{name: "queues", env: map[string]string{"PELTON_QUEUES": "default"}, want: []string{`PELTON_QUEUES: "default" has no cap; write default=256`}},
		{name: "queue name", env: map[string]string{"PELTON_QUEUES": "a.b=1"}, want: []string{`PELTON_QUEUES: queue name "a.b": use 1 to 64 letters, digits, - and _`}},
		{name: "queue cap", env: map[string]string{"PELTON_QUEUES": "a=0"}, want: []string{`PELTON_QUEUES: cap "0" of queue a: must be a number from 1 to 1000000`}},
		{name: "queue twice", env: map[string]string{"PELTON_QUEUES": "a=1,a=2"}, want: []string{`PELTON_QUEUES: queue a is there twice`}},
		{name: "no queue", env: map[string]string{"PELTON_QUEUES": " , "}, want: []string{`PELTON_QUEUES: names no queue; write default=256`}},
		{name: "sync", env: map[string]string{"PELTON_SYNC": "sometimes"}, want: []string{`PELTON_SYNC: must be always or a duration of 100ms or more, like 10s`}},
		{name: "prefix", env: map[string]string{"PELTON_PREFIX": "a..b"}, want: []string{`PELTON_PREFIX: "a..b" cannot begin a subject; use letters, digits, - and _, with dots between`}},
		{name: "age", env: map[string]string{"PELTON_RESULTS_MAX_AGE": "1s"}, want: []string{`PELTON_RESULTS_MAX_AGE: must be 1m0s or more, not 1s`}},
		{name: "experimental", env: map[string]string{"PELTON_EXPERIMENTAL": "auto,x"}, want: []string{
			`PELTON_EXPERIMENTAL: "auto" is not known; there is adaptive-concurrency`,
			`PELTON_EXPERIMENTAL: "x" is not known; there is adaptive-concurrency`,
		}},
		{name: "reply", env: map[string]string{"PELTON_REPLY_ALLOW": "ok.>, >.a, $JS.x, pelton.jobs.>, a..b, a*"}, want: []string{
			`PELTON_REPLY_ALLOW: ">.a" has a > that is not its last token`,
			`PELTON_REPLY_ALLOW: "$JS.x" begins with $; such subjects are never allowed`,
			`PELTON_REPLY_ALLOW: "pelton.jobs.>" lies under the prefix; such subjects are never allowed`,
			`PELTON_REPLY_ALLOW: "a..b" is no subject; write tokens with dots between, like my.app.*`,
			`PELTON_REPLY_ALLOW: "a*" has a wildcard inside a token; it must be a whole one`,
		}},
		{name: "no secret is shown", env: map[string]string{"NATS_URL": "nats://bob:hunter2@ho st:x", "NATS_PASSWORD": "hunter2"}, want: []string{
			`NATS_URL: address 1 cannot be read; write nats://HOST:4222`,
			`NATS_PASSWORD: is set without NATS_USER; set both`,
		}},
		{name: "servers", env: map[string]string{"NATS_URL": "host, nats://b:1 , tls://[::1]:4222"}},
		{name: "auth", env: map[string]string{"NATS_CREDS": "f", "NATS_NKEY": "n", "NATS_USER": "hunter2", "NATS_CERT": "c"}, want: []string{
			`NATS_CREDS: is set together with NATS_USER and NATS_NKEY; keep one way to authenticate`,
			`NATS_CERT: and NATS_KEY go together; set both or neither`,
		}},
		{name: "base URL", env: map[string]string{"OPENAI_BASE_URL": "localhost:1"}, want: []string{`OPENAI_BASE_URL: must be an address like https://HOST/v1`}},
		{name: "file", file: "pelton_settings:\n  slot: 1\n  slots: [[1]]\n  replicas: 1\n  replicas: 2\n  config: x\n  openai_api_key: hunter2\n  zzzzzzzz: 1\n  prefix: a b\n", want: []string{
			`FILE:2: pelton_settings.slot: no such setting; did you mean slots?`,
			`FILE:3: pelton_settings.slots: line 3: nested too deep`,
			`FILE:5: pelton_settings.replicas: already set in line 4`,
			`FILE:6: pelton_settings.config: cannot be set here; set PELTON_CONFIG in the environment`,
			`FILE:7: pelton_settings.openai_api_key: cannot be set here; set OPENAI_API_KEY in the environment`,
			`FILE:8: pelton_settings.zzzzzzzz: no such setting; there are ` + strings.Join(names(true), ", "),
			`PELTON_PREFIX: "a b" cannot begin a subject; use letters, digits, - and _, with dots between`,
		}},
		{name: "file: list", file: "- a\n", want: []string{`FILE:1: must be a mapping of names to values`}},
		{name: "file: settings", file: "pelton_settings: 3\n", want: []string{`FILE:1: pelton_settings: must be a mapping of names to values`}},
		{name: "file: empty", file: "# nothing\n"},
		{name: "file: no settings", file: "model_list: []\npelton_settings:\n"},
		{name: "file: anchors", file: "x: &n 7\npelton_settings:\n  slots: *n\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			path := "/no file"
			if test.file != "" {
				path = settingsFile(t, test.file)
				t.Setenv("PELTON_CONFIG", path)
			}
			_, err := Load()
			var got []string
			if err != nil {
				got = strings.Split(strings.ReplaceAll(err.Error(), path+":", "FILE:"), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("shows a secret:", err)
			}
		})
	}
}

func TestFlagProblems(t *testing.T) {
	_, err := Load(Flag{"--slots", "PELTON_SLOTS", "x"}, Flag{"--config", "PELTON_CONFIG", "/nowhere"})
	want := "PELTON_CONFIG: cannot read /nowhere: no such file or directory\n--slots: must be a whole number, not \"x\""
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %v", err, want)
	}
}

func TestNoStoreDirectory(t *testing.T) {
	c := Default()
	c.StoreDir = ""
	if c.Validate() == nil {
		t.Error("valid without a store directory")
	}
	c.NATSContext = "x"
	if err := c.Validate(); err != nil {
		t.Error("a remote NATS needs none:", err)
	}
}

// Whoever adds a field fills in its tags, and both parsers read its type.
func TestTags(t *testing.T) {
	var seen []string
	for _, v := range variables {
		if v.name == "" || v.desc == "" || v.value != "" && v.shown != "" {
			t.Errorf("field %s lacks tags or has too many", v.field.Name)
		}
		if slices.Contains(seen, v.name) {
			t.Errorf("%s twice", v.name)
		}
		seen = append(seen, v.name)
		sample := v.value
		if sample == "" {
			sample = "10s" // good for text, lists and Sync
		}
		a, b := Default(), Default()
		if err := v.set(a, sample); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		t.Setenv(v.name, sample)
		if err := v.setFromEnvironment(b); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: flag and environment read %q differently", v.name, sample)
		}
	}
}

func TestTable(t *testing.T) {
	table := Table()
	for _, line := range []string{
		"| Variable | Default | Meaning |",
		"| `PELTON_SLOTS` | `256` | calls of this process at once |",
	} {
		if !strings.Contains(table, line+"\n") {
			t.Errorf("%q is not in\n%s", line, table)
		}
	}
	for line := range strings.Lines(table) {
		if strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 4 {
			t.Errorf("not three cells: %s", line)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add("pelton_settings:\n  slots: 3\n  queues: {a: 1}\n")
	f.Add("pelton_settings: &a\n  x: *a\n")
	f.Add("? [1]\n: 2\npelton_settings:\n  ? {}\n  : 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, err := range Default().parseFile("f", []byte(text)) {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("an error without its place: %v", err)
			}
		}
	})
}

func FuzzValues(f *testing.F) {
	f.Add("default=1,b=2")
	f.Add("10s")
	f.Fuzz(func(t *testing.T, text string) {
		for _, v := range variables {
			c := Default()
			_ = v.set(c, text)
			_ = c.Validate()
		}
		var q Queues
		if q.UnmarshalText([]byte(text)) == nil {
			var again Queues
			if err := again.UnmarshalText([]byte(q.String())); err != nil || !cmp.Equal(q, again) {
				t.Errorf("%q does not survive its own text %q", text, q)
			}
		}
		unknownVariables([]string{"PELTON_" + text})
	})
}
