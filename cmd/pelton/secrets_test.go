package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// vault holds secrets that must not be seen, and all that was seen.
type vault struct {
	t       *testing.T
	dir     string            // home of every process
	secrets map[string]string // by what they are
	hidden  []string          // files that hold them, as they must

	mu   sync.Mutex
	seen map[string][]byte // by where
}

func newVault(t *testing.T) *vault {
	return &vault{t: t, dir: t.TempDir(), secrets: map[string]string{}, seen: map[string][]byte{}}
}

// secret makes one up.
func (v *vault) secret(what string) string {
	v.secrets[what] = "canary" + what + "Zq7Yx1Kd83"
	return v.secrets[what]
}

// file writes a file in which secrets may stand.
func (v *vault) file(name, text string) string {
	v.t.Helper()
	path := filepath.Join(v.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		v.t.Fatal(err)
	}
	v.hidden = append(v.hidden, path)
	return path
}

func (v *vault) saw(where string, data []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[where] = append(v.seen[where], data...)
}

// Write makes the vault see what is written to it.
type eye struct {
	v     *vault
	where string
}

func (e eye) Write(p []byte) (int, error) {
	e.v.saw(e.where, p)
	return len(p), nil
}

// command is the real command as a process of its own; all it says is seen.
func (v *vault) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	v.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Dir = v.dir
	cmd.Env = append([]string{asPelton + "=1", "HOME=" + v.dir, "TMPDIR=" + v.dir, "PATH=" + os.Getenv("PATH"),
		"PELTON_LOG_LEVEL=trace", "PELTON_LOG_FORMAT=json"}, env...)
	where := "output of pelton " + strings.Join(args, " ")
	for _, text := range v.secrets { // what the test itself says must not be taken for a leak
		where = strings.ReplaceAll(where, text, "…")
	}
	cmd.Stdout, cmd.Stderr = eye{v, where}, eye{v, where}
	return cmd
}

// run runs a command to its end and returns its exit code.
func (v *vault) run(env []string, args ...string) int {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	cmd := v.command(ctx, env, args...)
	err := cmd.Run()
	if ctx.Err() != nil {
		v.t.Errorf("pelton %v does not end", args)
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		v.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// search looks for every secret in all that was seen and in every file that the
// processes left.
func (v *vault) search() {
	v.t.Helper()
	err := filepath.WalkDir(v.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || slices.Contains(v.hidden, path) {
			return err
		}
		data, err := os.ReadFile(path)
		v.saw("file "+strings.TrimPrefix(path, v.dir), data)
		return err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) < 10 {
		v.t.Errorf("only %d places were looked at", len(v.seen))
	}
	for where, data := range v.seen {
		for what, text := range v.secrets {
			for _, form := range []string{text, strings.ToUpper(text), fmt.Sprintf("%x", text)} {
				if at := bytes.Index(data, []byte(form)); at >= 0 {
					v.t.Errorf("%s: the %s stands there: …%s…", where, what, data[max(0, at-120):min(len(data), at+len(form)+40)])
					break
				}
			}
		}
	}
}

// echo is an upstream that repeats whatever it was sent in every place of its
// answer that a client reads, as an error or, where asked for, as no JSON.
func (v *vault) echo() (url string, heard func(string) bool) {
	v.t.Helper()
	var mu sync.Mutex
	var all []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var told strings.Builder
		_ = r.Header.Write(&told)
		mu.Lock()
		all = append(all, told.String())
		mu.Unlock()
		said := strings.Join(strings.Fields(told.String()), " ")
		secret := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("Api-Key")
		for _, name := range []string{"X-Request-Id", "Apim-Request-Id", "Retry-After", "Location", "Www-Authenticate", "Content-Type"} {
			w.Header().Set(name, secret)
		}
		body := new(bytes.Buffer)
		_, _ = body.ReadFrom(r.Body)
		switch {
		case strings.Contains(body.String(), "as text"):
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprintf(w, "<html>%s</html>", said)
		case strings.Contains(body.String(), "redirect"):
			w.WriteHeader(http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
				"message": "Incorrect API key: " + said, "code": secret, "type": secret, "param": secret}})
		}
	}))
	v.t.Cleanup(srv.Close)
	return srv.URL, func(text string) bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(strings.Join(all, "\n"), text)
	}
}

// natsServer is one that wants a user and a password; every message is seen.
func (v *vault) natsServer(user, password string) (url string) {
	v.t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: v.t.TempDir(),
		Username: user, Password: password, NoSigs: true, NoLog: true})
	if err != nil {
		v.t.Fatal(err)
	}
	srv.Start()
	v.t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		v.t.Fatal("the server does not start")
	}
	nc, err := nats.Connect(srv.ClientURL(), nats.UserInfo(user, password))
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(nc.Close)
	if _, err := nc.Subscribe(">", func(m *nats.Msg) {
		v.saw("messages", fmt.Appendf(nil, "%s %v %s\n", m.Subject, m.Header, m.Data))
	}); err != nil {
		v.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		v.t.Fatal(err)
	}
	return strings.TrimPrefix(srv.ClientURL(), "nats://")
}

const secretInput = `{"model":"m","messages":[{"role":"user","content":"plain"}]}
{"model":"m","messages":[{"role":"user","content":"as text"}]}
{"model":"m","messages":[{"role":"user","content":"redirect"}]}
{"model":"azure","messages":[{"role":"user","content":"plain"}]}
{"model":"entra","messages":[{"role":"user","content":"as text"}]}
{"model":"tokens","messages":[{"role":"user","content":"plain"}]}
{"model":"header","messages":[{"role":"user","content":"as text"}]}
{"model":"inurl","messages":[{"role":"user","content":"plain"}]}
{"model":"proxied","messages":[{"role":"user","content":"plain"}]}
`

// models is a configuration with a secret of every kind in it.
func (v *vault) models(base string) string {
	host := strings.TrimPrefix(base, "http://")
	token := v.file("token", v.secret("tokenfile")+"\n")
	return v.file("models.yaml", fmt.Sprintf(`
model_list:
- {model_name: m, litellm_params: {model: openai/m, api_base: %[1]s/v1, api_key: %[2]s}}
- {model_name: azure, litellm_params: {model: azure/m, api_base: %[1]s, api_version: "2024-06-01", api_key: %[3]s}}
- {model_name: entra, litellm_params: {model: azure/m, api_base: %[1]s, api_version: "2024-06-01", azure_ad_token: %[4]s}}
- {model_name: tokens, litellm_params: {model: openai/m, api_base: %[1]s/v1, token_file: %[5]s}}
- {model_name: header, litellm_params: {model: openai/m, api_base: %[1]s/v1, api_key: os.environ/SOME_KEY, extra_headers: {X-Secret: %[6]s}}}
- {model_name: inurl, litellm_params: {model: openai/m, api_base: "http://user:%[7]s@%[8]s/v1", api_key: none}}
- {model_name: proxied, litellm_params: {model: openai/m, api_base: "http://127.0.0.1:9/v1", api_key: none, proxy: "http://user:%[9]s@127.0.0.1:1"}}
router_settings: {num_retries: 1}
`, base, v.secret("apikey"), v.secret("azurekey"), v.secret("azuretoken"), token, v.secret("header"), v.secret("urlpassword"), host, v.secret("proxypassword")))
}

// No key, token or password stands in any output, log line, result, state,
// message or file, at the most talkative level, whatever goes wrong.
func TestNoSecretAnywhere(t *testing.T) {
	v := newVault(t)
	base, heard := v.echo()
	models := v.models(base)
	environment := []string{"SOME_KEY=" + v.secret("environment"), "OPENAI_API_KEY=" + v.secret("openai")}
	password := v.secret("natspassword")
	address := v.natsServer("pelton", password)
	in := v.file("in.jsonl", secretInput)

	// Runs of their own, with and without a configuration file.
	local := append(environment, "PELTON_CONFIG="+models)
	v.run(local, "run", in, "-o", "out.jsonl", "--errors", "errors.jsonl", "--include-request", "--progress", "json")
	v.run(local, "run", in, "--progress", "plain")
	v.run(append(environment, "OPENAI_BASE_URL="+base+"/v1"), "run", in, "-o", "plain.jsonl")
	v.run(local, "check")
	v.run(local, "check", "--json")

	// A service.
	remote := append(local, "NATS_URL=nats://pelton:"+password+"@"+address)
	ctx, stop := context.WithCancel(t.Context())
	worker := v.command(ctx, remote, "worker")
	worker.Cancel = func() error { return worker.Process.Signal(os.Interrupt) }
	worker.WaitDelay = 20 * time.Second
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = worker.Wait(); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	late := time.Now().Add(30 * time.Second)
	for v.run(remote, "queue", "ls") != 0 && time.Now().Before(late) {
		continue // until the worker has made the streams
	}
	if code := v.run(remote, "submit", in, "--job-id", "secretive", "--wait"); code == 0 || code == exitUsage {
		t.Errorf("submit exits %d: every request should have failed", code)
	}
	for _, args := range [][]string{
		{"watch", "secretive"}, {"results", "secretive", "-o", "results.jsonl"}, {"results", "secretive"}, {"status", "secretive", "--json"},
		{"status", "secretive"}, {"ls", "--json"}, {"ls"}, {"queue", "ls"}, {"check", "--json"}, {"check"}, {"cancel", "secretive"}, {"run", in},
	} {
		v.run(remote, args...)
	}
	if code := v.run(remote, "rm", "secretive", "--json"); code != 0 {
		t.Errorf("rm exits %d", code)
	}
	stop()
	<-ended

	// All that can be wrong with a connection.
	wrong := v.secret("wrongpassword")
	creds := v.file("broken.creds", "-----BEGIN NATS USER JWT-----\n"+v.secret("jwt")+"\n------END NATS USER JWT------\n-----BEGIN USER NKEY SEED-----\n"+v.secret("seed")+"\n------END USER NKEY SEED------\n")
	v.file(".config/nats/context/mine.json", `{"url":"nats://a:`+v.secret("contexturl")+`@127.0.0.1:1","password":"`+v.secret("contextpassword")+`","token":"`+v.secret("contexttoken")+`"}`)
	v.file(".config/nats/context/bad.json", `{"password":"`+v.secret("badcontext")+`","user":3}`)
	for _, env := range [][]string{
		{"NATS_URL=nats://pelton:" + wrong + "@" + address},
		{"NATS_URL=nats://" + wrong + "@" + address},
		{"NATS_URL=nats://" + address, "NATS_USER=pelton", "NATS_PASSWORD=" + wrong},
		{"NATS_URL=nats://" + address, "NATS_USER=" + wrong},
		{"NATS_URL=nats://pelton:" + wrong + "@127.0.0.1:1"},
		{"NATS_URL=nats://pelton:" + wrong + "@127.0.0.1:1,nats://pelton:" + wrong + "@127.0.0.1:2"},
		{"NATS_URL=nats://pelton:" + wrong + "@host.invalid:4222"},
		{"NATS_URL=nats://pelton:" + wrong + "@127.0.0.1:notaport"},
		{"NATS_URL=nats://pelton:" + wrong + "@[::1"},
		{"NATS_URL=gopher://pelton:" + wrong + "@x"},
		{"NATS_URL=pelton:" + wrong + "@127.0.0.1:1"},
		{"NATS_URL=nats://pelton:p/" + wrong + "@127.0.0.1:1"},
		{"NATS_URL=nats://pelton:p?" + wrong + "#@127.0.0.1:1"},
		{"NATS_URL=nats://pelton:p@" + wrong + "%zz@127.0.0.1:1"},
		{"NATS_URL=tls://pelton:" + wrong + "@" + address},
		{"NATS_URL=nats://" + address, "NATS_CREDS=" + creds},
		{"NATS_URL=nats://" + address, "NATS_NKEY=" + creds},
		{"NATS_URL=nats://" + address, "NATS_CERT=" + creds, "NATS_KEY=" + creds},
		{"NATS_CONTEXT=mine"},
		{"NATS_CONTEXT=bad"},
	} {
		for _, args := range [][]string{{"ls"}, {"check"}, {"submit", in}} {
			if code := v.run(append(env, environment...), args...); code == 0 && args[0] != "check" {
				t.Errorf("%v: %v succeeds", env, args)
			}
		}
	}
	v.run(nil, "ls", "-s", "nats://pelton:"+wrong+"@127.0.0.1:1", "--password", wrong, "--user", wrong)

	// All that can be wrong with an upstream and its configuration.
	for _, address := range []string{"http://u:" + wrong + "@127.0.0.1:1/v1", "http://u:" + wrong + "@host.invalid/v1", "http://u:" + wrong + "@[::1", "u:" + wrong + "@x", "ftp://u:" + wrong + "@x"} {
		v.run(append(environment, "OPENAI_BASE_URL="+address), "check")
		v.run(append(environment, "OPENAI_BASE_URL="+address), "run", in, "--timeout", "1s")
	}
	for i, text := range []string{
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: [%s]}}",
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: {a: %s}}}",
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: \"%s\\n\"}}",
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, key: %s, api_key: x}}",
		"model_list:\n- model_name: m\n  litellm_params: {model: openai/m, api_key: %s\n",
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: x, proxy: \"::%s\"}}",
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: x, extra_headers: {\"bad name\": %s}}}",
		"model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: x, token_command: [/nonexistent, %s]}}",
		"model_list: []\ngeneral_settings: {master_key: %s}",
		"model_list: []\nenvironment_variables: {OPENAI_API_KEY: %s}\npelton_settings: {nats_password: %[1]s}",
		"pelton_settings: {nats_user: [%s, {a: %[1]s}]}",
		"pelton_settings: {nats_password: *%s}",
	} {
		bad := v.file(fmt.Sprintf("bad%d.yaml", i), fmt.Sprintf(text, v.secret(fmt.Sprintf("bad%d", i))))
		v.run([]string{"PELTON_CONFIG=" + bad}, "check")
		v.run([]string{"PELTON_CONFIG=" + bad}, "run", in)
	}
	for _, what := range []string{"apikey", "azurekey", "azuretoken", "tokenfile", "environment", "header", "openai"} {
		if !heard(v.secrets[what]) {
			t.Errorf("the %s was never sent: nothing could leak", what)
		}
	}
	v.search()
}
