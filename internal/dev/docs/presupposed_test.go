//go:build unix

package docs

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/schema"
)

// upstream is the URL of a mock that all sessions share.
func upstream(t *testing.T) string {
	url, err := startUpstream()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

var startUpstream = sync.OnceValues(func() (string, error) {
	llm, err := faultyllm.New(faultyllm.Config{})
	if err != nil {
		return "", err
	}
	err = llm.Start("") // until the tests end
	return llm.URL(), err
})

// files puts in place what the documents speak of as there.
func (s *session) files(top string) {
	s.t.Helper()
	rows := `{"question": "What is 1 + 1?"}` + "\n" + `{"question": "What is 2 + 3?"}` + "\n"
	body := `{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}` + "\n"
	for name, text := range map[string]string{
		"problems.jsonl": rows,
		"backlog.jsonl":  body + body,
		"bad.jsonl":      body + `{"model": "m"}` + "\n" + `{"messages": []}` + "\n",
		"config.yaml":    "model_list:\n  - model_name: '*'\n    litellm_params: {model: 'openai/*', api_base: " + upstream(s.t) + ", api_key: none, input_cost_per_token: 1e-6, output_cost_per_token: 2e-6}\n",
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	vars, ca := testenv.TenantsVars(s.t)
	for name, path := range map[string]string{
		"examples": filepath.Join(top, "examples"), "deploy": filepath.Join(top, "deploy"),
		"prompts.jsonl": filepath.Join(top, "examples/prompts.jsonl"), "questions.csv": filepath.Join(top, "examples/questions.csv"),
		"ca.pem": ca, "cert.pem": vars["NATS_SERVER_CERT"], "key.pem": vars["NATS_SERVER_KEY"],
	} {
		if err := os.Symlink(path, filepath.Join(s.dir, name)); err != nil {
			s.t.Fatal(err)
		}
	}
}

var (
	client   = regexp.MustCompile(`\bpelton (` + strings.Join(clients, "|") + `)\b|nats://nats:4222|--healthcheck|\bcurl\b`)
	theirs   = regexp.MustCompile(`\b(nightly-4[0-9]|night-[0-9]|JOB|j17)\b`)
	makesJob = regexp.MustCompile(`--job-id (\S+)`)
)

// presuppose starts the service that a statement needs, where the section has
// not started it itself, and hands it the jobs that the statement names.
func (s *session) presuppose(text string) {
	s.t.Helper()
	if !client.MatchString(text) || strings.Contains(s.exported(), "NATS_URL=") {
		return
	}
	if s.nats() == "" {
		addr := "off" // the document's own process has it
		if strings.Contains(text, "curl") || strings.Contains(text, "--healthcheck") {
			addr = s.http
		}
		s.serve("PELTON_HTTP_ADDR="+addr+" pelton worker --queues default=256,bulk=64", "service")
	}
	if m := makesJob.FindStringSubmatch(text); m != nil {
		s.jobs = append(s.jobs, m[1])
	}
	for _, id := range theirs.FindAllString(text, -1) {
		if !slices.Contains(s.jobs, id) {
			s.jobs = append(s.jobs, id)
			s.job(id, text)
		}
	}
}

func (s *session) exported() string {
	text, _ := os.ReadFile(s.state)
	return string(text)
}

// job publishes a job that ended well, unless the statement is about others:
// cancelling is for one that runs, retrying for one of which something failed.
func (s *session) job(id, text string) {
	s.t.Helper()
	nc, err := nats.Connect(s.nats())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	client, err := jobs.NewClient(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	if id == "j17" {
		s.junk(nc)
		return
	}
	has := func(word string) bool { return strings.Contains(text, word) }
	unfinished := has("cancel") || has("--force") || has("partial")
	list := []schema.Request{testenv.Chat("one", "")}
	switch {
	case has("retry"):
		list = append(list, testenv.Chat("two", `{"status":400,"times":1}`))
	case unfinished:
		list = append(list, testenv.Chat("two", `{"latency_ms":3600000}`))
	}
	handle, err := client.Submit(s.t.Context(), schema.Job{ID: id, Requests: list, Timeout: 2 * time.Hour})
	if err != nil {
		s.t.Fatal(err)
	}
	if unfinished {
		// Else the worker would wait for it. The statement may have erased it.
		s.undo = append(s.undo, func() { _ = handle.Cancel(context.Background(), "") })
		for _, err := range handle.Results(s.t.Context()) {
			if err != nil {
				s.t.Fatal(err)
			}
			break // the first is stored, the second runs
		}
		return
	}
	if _, err := handle.Wait(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// junk publishes what is no job, until one of them is the message j17.
func (s *session) junk(nc *nats.Conn) {
	s.t.Helper()
	js, err := jetstream.New(nc)
	for err == nil {
		var ack *jetstream.PubAck
		if ack, err = js.Publish(s.t.Context(), "pelton.jobs.default", []byte("no job")); err == nil && ack.Sequence >= 17 {
			return
		}
	}
	s.t.Fatal(err)
}

// before does what a section presupposes of other pages.
var before = map[string]func(*session){
	// A server as docs/security.md sets it up, and an admin's credentials.
	"docs/reference.md pelton check": func(s *session) {
		s.secured()
		s.do("go run ./deploy/nats/creds -config deploy/nats/tenants.conf -out creds", 0)
		s.do("cp deploy/nats/operator.conf creds/ && cp creds/TEAM_A/team-a-admin.creds admin.creds", 0)
		s.serve("nats-server -c creds/operator.conf", "nats-server")
	},
	// The same with passwords; who types is a producer of another queue.
	"docs/security.md What is denied says so": func(s *session) {
		s.secured()
		s.serve("nats-server -c deploy/nats/tenants.conf", "nats-server")
		s.do("export NATS_URL=tls://nats:4222 NATS_CA=ca.pem", 0)
		s.do("NATS_USER=team-a-admin NATS_PASSWORD=$TEAM_A_ADMIN NATS_INBOX_PREFIX=_INBOX_admin pelton check --create --queues default=256,bulk=64", 0)
		s.do("export NATS_USER=team-a-producer NATS_PASSWORD=$TEAM_A_PRODUCER NATS_INBOX_PREFIX=_INBOX_producer", 0)
	},
}

// secured sets what such a server reads from its environment.
func (s *session) secured() {
	s.t.Helper()
	vars, _ := testenv.TenantsVars(s.t)
	vars["NATS_SERVER_CERT"], vars["NATS_SERVER_KEY"] = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	for name, value := range vars {
		s.do("export "+name+"="+value, 0)
	}
}
