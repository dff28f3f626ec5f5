package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pelton/schema"
)

// Keys, tokens and signatures of every way to a model are in no result, error, log or
// chunk, however the server repeats what it was sent: as JSON of any shape, as a
// page, in a header, in mid-stream.
func TestNoTransportTellsItsSecrets(t *testing.T) {
	for name, d := range everyTransport(t) {
		t.Run(name, func(t *testing.T) {
			signature := ""
			srv := httptest.NewServer(repeating(d, &signature))
			defer srv.Close()
			d.ID, d.Group, d.BaseURL = "a", "m", srv.URL
			for _, shape := range []string{"error", "page", "stream", "whole"} {
				headers := map[string]Secret{"X-Shape": NewSecret(shape)}
				maps.Copy(headers, d.Headers)
				one := d
				one.Headers = headers
				var log bytes.Buffer
				zero := 0
				r := start(t, &Config{Deployments: []Deployment{one}, NumRetries: &zero}, noWait, WithLogger(zerolog.New(&log)))
				h := &heard{}
				out := r.Do(background, Request{Body: fmt.Appendf(nil, `{"model":"m","stream":%v,"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}`, shape == "stream"), Listener: h})
				if out.Error == nil || out.Error.Class == schema.ClassInternal || out.Error.Code == "no_token" {
					t.Fatalf("%s: %+v", shape, out.Error)
				}
				raw, err := json.Marshal(out)
				if err != nil {
					t.Fatal(err)
				}
				for what, text := range map[string]string{
					"result": string(raw), "error": out.Error.Error(), "log": log.String(), "deployment": fmt.Sprintf("%v %+v %#v", one, one, &one), "stream": fmt.Sprint(h.chunks),
				} {
					if strings.Contains(text, "canary") || signature != "" && strings.Contains(text, signature) {
						t.Errorf("%s: the %s has a secret: %s", shape, what, text)
					}
				}
			}
			if strings.Contains(name, "AWS") && signature == "" {
				t.Error("nothing was signed")
			}
		})
	}
}

// everyTransport is a deployment of every way to a model, with secrets that show.
func everyTransport(t *testing.T) map[string]Deployment {
	t.Helper()
	aws := map[string]Secret{
		"aws_region_name": NewSecret("us-east-1"), "aws_access_key_id": NewSecret("AKID0canary"),
		"aws_secret_access_key": NewSecret("secret-canary-1"), "aws_session_token": NewSecret("session-canary-1"),
	}
	vertex := map[string]Secret{"vertex_project": NewSecret("p"), "vertex_location": NewSecret("eu")}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("ya29.canary-1"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := NewSecret("sk-canary-0123456789")
	return map[string]Deployment{
		"openai":           {APIKey: key, Model: "m"},
		"openai by header": {Headers: map[string]Secret{"Authorization": NewSecret("Custom sk-canary-9876")}, Model: "m"},
		"azure":            {APIKey: key, Azure: true, APIVersion: "1", Model: "m"},
		"azure by token":   {Token: key, Azure: true, APIVersion: "1", Model: "m"},
		"anthropic":        {APIKey: key, Protocol: protocolAnthropic, Model: "claude-opus-4-6"},
		"anthropic azure":  {APIKey: key, Protocol: protocolAnthropicAzure, Model: "claude-opus-4-6"},
		"anthropic vertex": {TokenFile: token, Settings: vertex, Protocol: protocolAnthropicVertex, Model: "claude-opus-4-6"},
		"anthropic AWS":    {Settings: aws, Protocol: protocolAnthropicBedrock, Model: "anthropic.claude-opus-4-6"},
		"anthropic mantle": {Settings: aws, Protocol: protocolAnthropicMantle, Model: "anthropic.claude-opus-4-6"},
		"gemini":           {APIKey: key, Protocol: protocolGemini, Model: "gemini-3.5-flash"},
		"vertex":           {TokenFile: token, Settings: vertex, Protocol: protocolVertex, Model: "gemini-3.5-flash"},
		"vertex, partner":  {TokenFile: token, Settings: vertex, Protocol: protocolVertex, Model: "meta/llama"},
		"converse":         {Settings: aws, Protocol: protocolBedrock, Model: "amazon.nova"},
		"converse by key":  {APIKey: key, Settings: map[string]Secret{"aws_region_name": NewSecret("us-east-1")}, Protocol: protocolBedrock, Model: "amazon.nova"},
		"mantle":           {APIKey: key, Protocol: protocolBedrockMantle, Model: "gpt-oss"},
		"cohere":           {APIKey: key, Protocol: protocolCohere, Model: "command"},
	}
}

// repeating is a server that fails in the shape that X-Shape names, and repeats what
// it was sent, and what d signs with.
func repeating(d Deployment, signature *string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if _, signed, ok := strings.Cut(r.Header.Get("Authorization"), "Signature="); ok {
			*signature = signed
		}
		var said strings.Builder
		_ = r.Header.Write(&said)
		said.WriteString(r.URL.String())
		for _, name := range []string{"aws_secret_access_key", "aws_session_token"} {
			said.WriteString(" " + d.Settings[name].Reveal())
		}
		quoted, _ := json.Marshal(said.String())
		w.Header().Set("X-Request-Id", strings.Join(r.Header["Authorization"], ""))
		switch r.Header.Get("X-Shape") {
		case "error":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"error":{"message":%s,"code":%s,"type":%s,"status":%s},"message":%s}`, quoted, quoted, quoted, quoted, quoted)
		case "page":
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprintf(w, "<html><title>%s</title></html>", said.String())
		case "stream":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":%s,\"type\":\"x\"}}\n\n", quoted)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"error":%s}`, quoted)
		}
	}
}
