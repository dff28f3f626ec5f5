package gemini_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"pelton/internal/faultyllm"
	"pelton/router"
	"pelton/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "AIzaCanary-0123456789abcdef"

func upstream(t *testing.T, c faultyllm.Config) *faultyllm.Server {
	t.Helper()
	c.KeepBodies, c.KeepCalls = 100, 100
	s, err := faultyllm.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// google is a deployment of the Gemini API at the mock.
func google(s *faultyllm.Server, change ...func(*router.Deployment)) router.Deployment {
	d := router.Deployment{ID: "google", Group: "g", Model: "gemini-3.5-flash", Protocol: "gemini", BaseURL: s.Root(), APIKey: router.NewSecret(canary), Order: 1}
	for _, f := range change {
		f(&d)
	}
	return d
}

// start makes a router that tries quickly, and what it logs.
func start(t *testing.T, deployments ...router.Deployment) (*router.Router, *bytes.Buffer) {
	t.Helper()
	logged := new(bytes.Buffer)
	r, err := router.New(&router.Config{Deployments: deployments, NumRetries: new(3)}, router.WithLogger(zerolog.New(logged)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, logged
}

func chat(members string) router.Request {
	return router.Request{
		Endpoint: schema.ChatCompletions, Timeout: 30 * time.Second,
		Body: json.RawMessage(`{"model":"g","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Hello Oslo"}]` + members + `}`),
	}
}

// completion is what a reader of OpenAI's form finds in an answer.
type completion struct {
	Object  string
	Choices []struct {
		Finish  string `json:"finish_reason"`
		Message struct {
			Content string
			Calls   []struct {
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Delta struct{ Content string }
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
}

func read(t *testing.T, raw []byte) (c completion) {
	t.Helper()
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return c
}

// A request goes out in Gemini's form and comes back in OpenAI's.
func TestDo(t *testing.T) {
	s := upstream(t, faultyllm.Config{APIKey: canary})
	r, _ := start(t, google(s))
	out := r.Do(t.Context(), chat(`,"max_tokens":50`))
	if out.Status != schema.StatusSucceeded {
		t.Fatalf("%+v", out.Error)
	}
	c := read(t, out.Response.Body)
	if c.Object != "chat.completion" || c.Choices[0].Message.Content != "You said: Hello Oslo" || c.Choices[0].Finish != "stop" {
		t.Errorf("got %s", out.Response.Body)
	}
	if c.Usage == nil || out.Usage == nil || out.Usage.PromptTokens != int64(c.Usage.Prompt) || out.Usage.CompletionTokens != 4 {
		t.Errorf("usage %+v, in the answer %+v", out.Usage, c.Usage)
	}
	sent := s.Bodies()[0]
	if !json.Valid(sent) || !bytes.Contains(sent, []byte(`"system_instruction":{"parts":[{"text":"Be brief"}]}`)) || bytes.Contains(sent, []byte("messages")) {
		t.Errorf("sent %s", sent)
	}
}

// listener keeps the chunks of the last attempt.
type listener struct {
	mu     sync.Mutex
	chunks [][]byte
}

func (l *listener) Chunk(_, sequence int, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.chunks = append(l.chunks[:sequence], bytes.Clone(data))
}

func (l *listener) Event(schema.Event) {}

// A streamed answer comes in OpenAI's chunks, with usage where that was asked
// for, and adds up to the answer.
func TestStream(t *testing.T) {
	s := upstream(t, faultyllm.Config{})
	r, _ := start(t, google(s))
	for options, counts := range map[string]bool{"": false, `,"stream_options":{"include_usage":true}`: true} {
		req, heard := chat(`,"stream":true`+options), new(listener)
		req.Listener = heard
		out := r.Do(t.Context(), req)
		if out.Status != schema.StatusSucceeded {
			t.Fatalf("%+v", out.Error)
		}
		text, finish, counted := "", "", false
		for _, chunk := range heard.chunks {
			c := read(t, chunk)
			if c.Object != "chat.completion.chunk" {
				t.Errorf("chunk %s", chunk)
			}
			counted = counted || c.Usage != nil
			for _, choice := range c.Choices {
				text += choice.Delta.Content
				finish += choice.Finish
			}
		}
		whole := read(t, out.Response.Body)
		if text != "You said: Hello Oslo" || finish != "stop" || counted != counts || whole.Choices[0].Message.Content != text || out.Usage == nil {
			t.Errorf("text %q, finish %q, counted %v: %s", text, finish, counted, out.Response.Body)
		}
		if out.Attempts[0].TTFTMs == nil {
			t.Error("no time to the first token")
		}
	}
}

// Function calls come back as tool calls, streamed or not, and their results go
// out as function responses.
func TestTools(t *testing.T) {
	answer := `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"get_weather","args":{"city":"Oslo"}},"thoughtSignature":"c2ln"}],"role":"model"},"finishReason":"STOP","index":0}]}`
	s := upstream(t, faultyllm.Config{})
	r, _ := start(t, google(s))
	const tools = `,"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]`
	for _, stream := range []string{"", `,"stream":true`} {
		raw := answer
		if stream != "" {
			raw = "data: " + answer + "\r\n\r\n"
		}
		quoted, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		req := chat(tools + stream)
		req.Header = http.Header{"X-Mock": {fmt.Sprintf(`{"raw":%s}`, quoted)}}
		out := r.Do(t.Context(), req)
		if out.Status != schema.StatusSucceeded {
			t.Fatalf("%+v", out.Error)
		}
		c := read(t, out.Response.Body)
		if calls := c.Choices[0].Message.Calls; c.Choices[0].Finish != "tool_calls" || len(calls) != 1 || calls[0].Function.Arguments != `{"city":"Oslo"}` {
			t.Fatalf("got %s", out.Response.Body)
		}
		var message struct {
			Choices []struct{ Message json.RawMessage }
		}
		if err := json.Unmarshal(out.Response.Body, &message); err != nil {
			t.Fatal(err)
		}
		var call struct {
			Calls []struct{ ID string } `json:"tool_calls"`
		}
		if err := json.Unmarshal(message.Choices[0].Message, &call); err != nil {
			t.Fatal(err)
		}
		req = router.Request{Timeout: 30 * time.Second, Body: json.RawMessage(`{"model":"g","messages":[{"role":"user","content":"Weather?"},` + string(message.Choices[0].Message) +
			`,{"role":"tool","tool_call_id":"` + call.Calls[0].ID + `","content":"{\"temp\":3}"}]` + tools + `}`)}
		if out := r.Do(t.Context(), req); out.Status != schema.StatusSucceeded {
			t.Fatalf("%+v", out.Error)
		}
		bodies := s.Bodies()
		sent := string(bodies[len(bodies)-1])
		for _, want := range []string{`"thoughtSignature":"c2ln"`, `"function_response":{"name":"get_weather","response":{"temp":3}`} {
			if !strings.Contains(sent, want) {
				t.Errorf("sent %s, want %s in it", sent, want)
			}
		}
	}
}

// Every fault that passes is tried again, streamed or not; the key is in nothing
// that comes out.
func TestFaults(t *testing.T) {
	for _, fault := range faultyllm.Faults() {
		if fault == faultyllm.FaultHang || fault == faultyllm.FaultSlow { // of the clock, not of the protocol
			continue
		}
		for _, stream := range []string{"", `,"stream":true`} {
			t.Run(string(fault)+stream, func(t *testing.T) {
				t.Parallel()
				s := upstream(t, faultyllm.Config{RetryAfter: time.Millisecond})
				r, logged := start(t, google(s, func(d *router.Deployment) { d.CooldownTime = new(time.Duration) }))
				req := chat(stream)
				req.Header = http.Header{"X-Mock": {`{"fault":"` + string(fault) + `","times":1}`}}
				out := r.Do(t.Context(), req)
				want := map[faultyllm.Fault]schema.Class{
					faultyllm.FaultBadRequest: schema.ClassRequestFatal, faultyllm.FaultUnprocessable: schema.ClassRequestFatal, faultyllm.FaultTooLarge: schema.ClassRequestFatal,
					faultyllm.FaultContextLength: schema.ClassContextWindow, faultyllm.FaultContentFilter: schema.ClassContentPolicy,
					faultyllm.FaultAuth: schema.ClassUpstreamFatal, faultyllm.FaultForbidden: schema.ClassUpstreamFatal, faultyllm.FaultModelNotFound: schema.ClassUpstreamFatal, faultyllm.FaultQuota: schema.ClassUpstreamFatal,
				}[fault]
				switch {
				case want == "" && (out.Status != schema.StatusSucceeded || len(out.Attempts) > 2):
					t.Errorf("%s after %d attempts: %+v", out.Status, len(out.Attempts), out.Error)
				case want == "" && fault != faultyllm.FaultContentType && (len(out.Attempts) != 2 || out.Attempts[0].Error.Class != schema.ClassTransient && out.Attempts[0].Error.Class != schema.ClassRateLimited):
					t.Errorf("attempts %+v", out.Attempts)
				case want != "" && (out.Error == nil || out.Attempts[0].Error.Class != want):
					t.Errorf("class %+v, want %s", out.Error, want)
				}
				all, err := json.Marshal(out)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(all, []byte(canary)) || strings.Contains(logged.String(), canary) {
					t.Errorf("the key is in %s or %s", all, logged)
				}
			})
		}
	}
}

// A server that repeats the key does not get it into an error, a log or a result.
func TestKeyRepeated(t *testing.T) {
	s := upstream(t, faultyllm.Config{})
	for _, status := range []string{"400", "403", "500"} {
		r, logged := start(t, google(s))
		req := chat(`,"seed":` + status)
		req.Header = http.Header{"X-Mock": {`{"status":` + status + `,"raw":"{\"error\":{\"code\":` + status + `,\"message\":\"bad key ` + canary + `\",\"status\":\"INVALID_ARGUMENT\"}}","times":1}`}}
		out := r.Do(t.Context(), req)
		all, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Attempts) == 0 || out.Attempts[0].Error == nil || strings.Contains(string(all)+logged.String()+fmt.Sprintf("%+v %v", out, out.Error), canary) {
			t.Errorf("the key is in %s or %s", all, logged)
		}
	}
}

// A group of both protocols answers all the same when one of them is out.
func TestFallsAcross(t *testing.T) {
	broken, good := upstream(t, faultyllm.Config{Outage: true}), upstream(t, faultyllm.Config{})
	openai := router.Deployment{ID: "openai", Group: "g", Model: "gpt", BaseURL: good.URL(), Order: 2}
	r, _ := start(t, google(broken), openai)
	for _, stream := range []string{"", `,"stream":true`} {
		out := r.Do(t.Context(), chat(stream))
		if out.Status != schema.StatusSucceeded || out.Attempts[len(out.Attempts)-1].Deployment != "openai" {
			t.Errorf("%+v", out)
		}
		if c := read(t, out.Response.Body); c.Choices[0].Message.Content != "You said: Hello Oslo" {
			t.Errorf("got %s", out.Response.Body)
		}
	}
	// What Gemini has no place for does not go there.
	alone, _ := start(t, google(good))
	if out := alone.Do(t.Context(), chat(`,"logit_bias":{"1":2}`)); out.Error == nil || out.Error.Param != "logit_bias" || out.Error.Class != schema.ClassRequestFatal {
		t.Errorf("with a bias: %+v", out)
	}
	if n := len(good.Bodies()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

// Embeddings come back as OpenAI's, packed where that was asked for.
func TestEmbeddings(t *testing.T) {
	s := upstream(t, faultyllm.Config{})
	r, _ := start(t, google(s))
	for _, format := range []string{"float", "base64"} {
		out := r.Do(t.Context(), router.Request{
			Endpoint: schema.Embeddings, Timeout: 30 * time.Second, Body: json.RawMessage(`{"model":"g","input":["a","b"],"dimensions":3,"encoding_format":"` + format + `"}`),
		})
		var list struct {
			Data []struct{ Embedding json.RawMessage }
		}
		if out.Status != schema.StatusSucceeded || json.Unmarshal(out.Response.Body, &list) != nil || len(list.Data) != 2 {
			t.Fatalf("%+v", out.Error)
		}
		if packed := list.Data[0].Embedding[0] == '"'; packed != (format == "base64") || packed && len(list.Data[0].Embedding) != 18 {
			t.Errorf("%s: %s", format, list.Data[0].Embedding)
		}
	}
}

// accounts gives OAuth tokens, new ones each time.
func accounts(t *testing.T, given *atomic.Int64) string {
	t.Helper()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("assertion") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"ya29.canary-%d","expires_in":3600,"token_type":"Bearer"}`, given.Add(1))
	}))
	t.Cleanup(tokens.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "proj-1", "client_email": "sa@proj-1.iam.gserviceaccount.com", "token_uri": tokens.URL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Vertex AI is asked with a token that is fetched once for all, for Gemini and for
// models of other publishers; neither token nor key comes out.
func TestVertex(t *testing.T) {
	var given atomic.Int64
	account := accounts(t, &given)
	var paths sync.Map
	vertex := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths.Store(r.URL.Path, true)
		if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "Bearer ya29.canary-") || r.Header.Get("X-Goog-Api-Key") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"error":{"code":401,"message":"not %s","status":"UNAUTHENTICATED"}}`, auth)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/chat/completions") {
			_, _ = w.Write([]byte(`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}`))
	}))
	t.Cleanup(vertex.Close)
	settings := map[string]router.Secret{"vertex_credentials": router.NewSecret(account)}
	r, logged := start(t,
		router.Deployment{ID: "gemini", Group: "g", Model: "gemini-3.5-flash", Protocol: "vertex_ai", BaseURL: vertex.URL, Settings: settings},
		router.Deployment{ID: "llama", Group: "l", Model: "meta/llama-maas", Protocol: "vertex_ai", BaseURL: vertex.URL, Settings: settings},
	)
	var wait sync.WaitGroup
	for _, model := range []string{"g", "l"} {
		for range 10 {
			wait.Go(func() {
				req := chat("")
				req.Body = bytes.Replace(req.Body, []byte(`"model":"g"`), []byte(`"model":"`+model+`"`), 1)
				out := r.Do(t.Context(), req)
				if out.Status != schema.StatusSucceeded || read(t, out.Response.Body).Choices[0].Message.Content != "Hi" {
					t.Errorf("%+v", out.Error)
				}
				if all, _ := json.Marshal(out); bytes.Contains(all, []byte("canary")) {
					t.Errorf("a secret is in %s", all)
				}
			})
		}
	}
	wait.Wait()
	if n := given.Load(); n != 2 { // one for each deployment
		t.Errorf("%d tokens were fetched", n)
	}
	var asked []string
	paths.Range(func(path, _ any) bool { asked = append(asked, path.(string)); return true })
	slices.Sort(asked)
	const within = "/v1/projects/proj-1/locations/us-central1/"
	if want := []string{within + "endpoints/openapi/chat/completions", within + "publishers/google/models/gemini-3.5-flash:generateContent"}; !slices.Equal(asked, want) {
		t.Errorf("asked %v", asked)
	}
	if strings.Contains(logged.String(), "canary") || strings.Contains(logged.String(), "PRIVATE") {
		t.Errorf("a secret is in %s", logged)
	}
}

// A service account that is refused is one message with what to do.
func TestVertexRefused(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))
	}))
	t.Cleanup(tokens.Close)
	account := strings.Replace(accounts(t, new(atomic.Int64)), `"token_uri":"`, `"token_uri":"`+tokens.URL+`","x":"`, 1)
	r, logged := start(t, router.Deployment{
		ID: "gemini", Group: "g", Model: "gemini-3.5-flash", Protocol: "vertex_ai", BaseURL: tokens.URL,
		Settings: map[string]router.Secret{"vertex_credentials": router.NewSecret(account), "vertex_project": router.NewSecret("p")},
	})
	for range 3 {
		out := r.Do(t.Context(), chat(""))
		if out.Error == nil || out.Error.Class != schema.ClassUpstreamFatal {
			t.Errorf("%+v", out)
		}
		if all, _ := json.Marshal(out); strings.Contains(string(all), "PRIVATE") {
			t.Errorf("a secret is in %s", all)
		}
	}
	if n := strings.Count(logged.String(), "Google refused the service account sa@proj-1.iam.gserviceaccount.com"); n != 1 || strings.Contains(logged.String(), "PRIVATE") {
		t.Errorf("told %d times: %s", n, logged)
	}
}

// A check asks the Gemini API for its models, and proves who asks of Vertex AI,
// which lists none.
func TestCheck(t *testing.T) {
	s := upstream(t, faultyllm.Config{APIKey: canary, Models: []string{"gemini-3.5-flash"}})
	vertex := func(id, model, account string) router.Deployment {
		return router.Deployment{
			ID: id, Group: id, Model: model, Protocol: "vertex_ai", BaseURL: s.Root(),
			Settings: map[string]router.Secret{"vertex_credentials": router.NewSecret(account), "vertex_project": router.NewSecret("p")},
		}
	}
	account := accounts(t, new(atomic.Int64))
	r, _ := start(t, google(s), vertex("vertex", "gemini-3.5-flash", account), vertex("partner", "meta/llama", account), vertex("*", "*", account), vertex("nobody", "gemini-3.5-flash", "/nowhere.json"))
	for _, result := range r.Check(t.Context()) {
		text := result.String()
		switch result.Deployment.ID {
		case "google":
			if !result.Reachable || !result.Authorised || result.Model != router.Listed {
				t.Errorf("%+v", result)
			}
		case "nobody":
			if result.Error == nil || !strings.Contains(text, "/nowhere.json") {
				t.Errorf("%+v", result)
			}
		default:
			if result.Error != nil || !strings.Contains(text, "was not asked") {
				t.Errorf("%+v", result)
			}
		}
	}
	if n := len(s.Bodies()); n != 0 {
		t.Errorf("%d calls", n)
	}
}
