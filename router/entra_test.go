package router

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"pelton/schema"
)

// entraServer is Microsoft's login, at an address that AZURE_AUTHORITY_HOST names.
func entraServer(t *testing.T) (*httptest.Server, *atomic.Int64) {
	var given atomic.Int64
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/tenant-1/oauth2/v2.0/token" || r.FormValue("client_secret") != "s3cr3t-canary" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"AADSTS7000215: not %s"}`, r.FormValue("client_secret"))
			return
		}
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":"eyJ.canary-%d"}`, given.Add(1))
	}))
	t.Cleanup(srv.Close)
	return srv, &given
}

// A token of Entra's serves all calls of a deployment, of any protocol on Azure, and
// neither it nor the secret shows, whatever the server repeats.
func TestEntraOnAzure(t *testing.T) {
	login, given := entraServer(t)
	t.Setenv("AZURE_AUTHORITY_HOST", login.URL)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: login.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		auth := r.Header.Get("Authorization")
		if !strings.HasPrefix(auth, "Bearer eyJ.canary-") || r.Header.Get("Api-Key") != "" || r.Header.Get("X-Api-Key") != "" {
			t.Errorf("%s: %v", r.URL, r.Header)
		}
		switch {
		case bytes.Contains(raw, []byte("fail")):
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"error":{"message":"the token %s is not for you, nor is s3cr3t-canary"}}`, auth)
		case strings.HasSuffix(r.URL.Path, "/anthropic/v1/messages"):
			_, _ = io.WriteString(w, `{"id":"1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`)
		default:
			_, _ = io.WriteString(w, `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		}
	}))
	t.Cleanup(srv.Close)
	var log bytes.Buffer
	for name, d := range map[string]Deployment{
		"azure":  {Azure: true, APIVersion: "1", Model: "d"},
		"models": {Model: "m"},
		"claude": {Protocol: protocolAnthropicAzure, Model: "claude-opus-4-6"},
	} {
		t.Run(name, func(t *testing.T) {
			before := given.Load()
			d.ID, d.Group, d.BaseURL, d.CAFile = "a", "m", srv.URL, ca
			d.Settings = map[string]Secret{"tenant_id": NewSecret("tenant-1"), "client_id": NewSecret("client-1"), "client_secret": NewSecret("s3cr3t-canary")}
			r := start(t, &Config{Deployments: []Deployment{d}}, noWait, WithLogger(zerolog.New(&log)))
			for range 3 {
				if out := r.Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`)}); out.Error != nil || completionOf(t, out).Choices[0].Message.Content != "ok" {
					t.Fatalf("%+v", out.Error)
				}
			}
			if n := given.Load() - before; n != 1 {
				t.Errorf("%d tokens were fetched", n)
			}
			out := r.Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"fail"}]}`)})
			raw, err := json.Marshal(out)
			if err != nil || out.Error == nil {
				t.Fatal(err, out.Error)
			}
			for what, text := range map[string]string{"result": string(raw), "log": log.String(), "deployment": fmt.Sprintf("%+v", d)} {
				if strings.Contains(text, "canary") {
					t.Errorf("the %s has a secret: %s", what, text)
				}
			}
		})
	}
	wrong := Deployment{ID: "w", Group: "m", BaseURL: srv.URL, Azure: true, APIVersion: "1", Model: "d", CAFile: ca, Settings: map[string]Secret{
		"tenant_id": NewSecret("tenant-1"), "client_id": NewSecret("client-1"), "client_secret": NewSecret("wrong-canary"),
	}}
	out := start(t, &Config{Deployments: []Deployment{wrong}}, noWait, WithLogger(zerolog.New(&log))).Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`)})
	if out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal || !strings.Contains(out.Error.Message, "AADSTS7000215") || strings.Contains(out.Error.Message+log.String(), "wrong-canary") {
		t.Errorf("a wrong secret: %+v", out.Error)
	}
}
