package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/schema"
)

const (
	awsKey     = "AKIDEXAMPLE"
	awsSecret  = "wJalr-canary-secret"
	awsSession = "session-canary-token"
)

func converseAt(id, group, url string) Deployment {
	return Deployment{ID: id, Group: group, Model: "us.amazon.nova-lite-v1:0", BaseURL: url, Protocol: protocolBedrock, Settings: map[string]Secret{
		"aws_region_name": NewSecret("us-east-1"), "aws_access_key_id": NewSecret(awsKey),
		"aws_secret_access_key": NewSecret(awsSecret), "aws_session_token": NewSecret(awsSession),
	}}
}

// converse answers as Bedrock's Converse does: what the user said last, or a call of
// the tool that has to be called.
func converse(t *testing.T) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		var body struct {
			Messages []struct {
				Role    string
				Content []struct{ Text string }
			}
			ToolConfig struct {
				ToolChoice struct{ Any *struct{} }
				Tools      []struct{ ToolSpec struct{ Name string } }
			}
		}
		auth := req.Header.Get("Authorization")
		if err := json.Unmarshal(raw, &body); err != nil || len(body.Messages) == 0 || !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential="+awsKey+"/") ||
			!strings.Contains(auth, "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,") || req.Header.Get("X-Amz-Security-Token") != awsSession {
			t.Errorf("%v: %s, %v", err, raw, req.Header)
		}
		last := body.Messages[len(body.Messages)-1].Content
		text := "You said: " + last[len(last)-1].Text
		w.Header().Set("X-Amzn-Requestid", "req-1")
		tool := ""
		if body.ToolConfig.ToolChoice.Any != nil {
			tool = body.ToolConfig.Tools[0].ToolSpec.Name
		}
		switch req.URL.EscapedPath() {
		case "/model/us.amazon.nova-lite-v1%3A0/converse":
			block, reason := any(map[string]any{"text": text}), "end_turn"
			if tool != "" {
				block, reason = map[string]any{"toolUse": map[string]any{"toolUseId": "t1", "name": tool, "input": map[string]any{"a": text}}}, "tool_use"
			}
			_ = json.NewEncoder(w).Encode(map[string]any{
				"output":     map[string]any{"message": map[string]any{"role": "assistant", "content": []any{block}}},
				"stopReason": reason, "usage": map[string]any{"inputTokens": 7, "outputTokens": 5, "totalTokens": 12},
			})
		case "/model/us.amazon.nova-lite-v1%3A0/converse-stream":
			w.Header().Set("Content-Type", "application/vnd.amazon.eventstream")
			converseStream(w, text, tool)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func converseStream(w io.Writer, text, tool string) {
	encoder := eventstream.NewEncoder()
	send := func(name string, payload any) {
		raw, _ := json.Marshal(payload)
		message := eventstream.Message{Payload: raw}
		message.Headers.Set(":message-type", eventstream.StringValue("event"))
		message.Headers.Set(":event-type", eventstream.StringValue(name))
		_ = encoder.Encode(w, message)
	}
	delta := func(delta any) {
		send("contentBlockDelta", map[string]any{"contentBlockIndex": 0, "delta": delta})
	}
	send("messageStart", map[string]any{"role": "assistant"})
	reason := "end_turn"
	if tool == "" {
		for len(text) > 0 {
			n := min(4, len(text))
			delta(map[string]any{"text": text[:n]})
			text = text[n:]
		}
	} else {
		reason = "tool_use"
		send("contentBlockStart", map[string]any{"contentBlockIndex": 0, "start": map[string]any{"toolUse": map[string]any{"toolUseId": "t1", "name": tool}}})
		arguments, _ := json.Marshal(map[string]any{"a": text})
		delta(map[string]any{"toolUse": map[string]any{"input": string(arguments[:5])}})
		delta(map[string]any{"toolUse": map[string]any{"input": string(arguments[5:])}})
	}
	send("contentBlockStop", map[string]any{"contentBlockIndex": 0})
	send("messageStop", map[string]any{"stopReason": reason})
	send("metadata", map[string]any{"usage": map[string]any{"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}})
}

// The same request, whole and streamed: the answer is the same, and OpenAI's.
func TestConverse(t *testing.T) {
	r := start(t, &Config{Deployments: []Deployment{converseAt("a", "m", converse(t).URL)}}, noWait)
	for name, more := range map[string]string{"text": "", "tools": claudeTools} {
		t.Run(name, func(t *testing.T) {
			body := `{"model":"m",` + more + `"messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"A b c"}]}`
			whole := r.Do(background, Request{Body: json.RawMessage(body)})
			h := &heard{}
			streamed := r.Do(background, Request{Body: json.RawMessage(`{"stream":true,"stream_options":{"include_usage":true},` + body[1:]), Listener: h})
			w, s := completionOf(t, whole), completionOf(t, streamed)
			if fmt.Sprintf("%+v", w) != fmt.Sprintf("%+v", s) || len(h.chunks) < 3 {
				t.Errorf("whole    %+v\nstreamed %+v in %d chunks", w, s, len(h.chunks))
			}
			if w.Object != "chat.completion" || w.Model != "us.amazon.nova-lite-v1:0" || w.Usage.Prompt != 7 || whole.Usage == nil || whole.Usage.TotalTokens != 12 || streamed.Usage == nil || streamed.Usage.TotalTokens != 12 {
				t.Errorf("%s", whole.Response.Body)
			}
			message, reason := w.Choices[0].Message, w.Choices[0].FinishReason
			if more == "" && (message.Content != "You said: A b c" || reason != "stop") {
				t.Errorf("%s", whole.Response.Body)
			}
			if more != "" && (len(message.ToolCalls) != 1 || message.ToolCalls[0].Function.Name != "look.up" || message.ToolCalls[0].Function.Arguments != `{"a":"You said: A b c"}` || reason != "tool_calls") {
				t.Errorf("%s", whole.Response.Body)
			}
		})
	}
}

// What Bedrock is too busy for goes to another provider, and a clock that is wrong
// costs no retry.
func TestConverseFallsBack(t *testing.T) {
	var calls atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if calls.Add(1) == 1 {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			w.Header().Set("X-Amzn-Errortype", "InvalidSignatureException:http://x/")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"message":"Signature expired"}`)
			return
		}
		if at, err := time.Parse("20060102T150405Z", req.Header.Get("X-Amz-Date")); err != nil || time.Until(at) < 30*time.Minute {
			t.Errorf("signed at %v, %v", at, err)
		}
		w.Header().Set("X-Amzn-Errortype", "ThrottlingException:http://x/")
		w.WriteHeader(http.StatusBadRequest) // the name counts
		_, _ = io.WriteString(w, `{"message":"Too many requests"}`)
	}))
	t.Cleanup(busy.Close)
	up := llm(t, faultyllm.Config{})
	none := 0
	out := start(t, &Config{NumRetries: &none, Fallbacks: map[string][]string{"m": {"n"}}, Deployments: []Deployment{
		converseAt("a", "m", busy.URL), {ID: "o", Group: "n", Model: "gpt", BaseURL: up.URL(), APIKey: NewSecret(testKey)},
	}}, noWait).Do(background, Request{Body: json.RawMessage(`{"model":"m","messages":[{"role":"user","content":"Hi"}]}`)})
	if out.Error != nil || len(out.Attempts) != 3 || out.Attempts[1].Error.Class != schema.ClassRateLimited || out.Attempts[2].Deployment != "o" || calls.Load() != 2 {
		t.Errorf("%v %+v after %d calls", out.Error, out.Attempts, calls.Load())
	}
}

// Credentials are in no result, error or line of the log, whatever the server
// repeats.
func TestConverseKeepsItsSecrets(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "UnrecognizedClientException")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, `{"message":"the token %s of %s is invalid"}`, req.Header.Get("X-Amz-Security-Token"), awsSecret)
	}))
	t.Cleanup(srv.Close)
	d := converseAt("a", "m", srv.URL)
	var log bytes.Buffer
	r := start(t, &Config{Deployments: []Deployment{d}}, noWait, WithLogger(zerolog.New(&log)))
	for _, streamed := range []bool{false, true} {
		body := fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":"Hi"}]}`, streamed)
		out := r.Do(background, Request{Body: json.RawMessage(body)})
		raw, err := json.Marshal(out)
		if err != nil || out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal {
			t.Fatal(err, out.Error)
		}
		for what, text := range map[string]string{"result": string(raw), "error": out.Error.Error(), "log": log.String(), "deployment": fmt.Sprintf("%+v", d)} {
			if strings.Contains(text, "canary") {
				t.Errorf("the %s has a secret: %s", what, text)
			}
		}
	}
}
