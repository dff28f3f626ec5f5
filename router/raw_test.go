package router

import (
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pelton/schema"
)

// oddBody is what go-openai's types would change or refuse.
const oddBody = "\n{\t\"model\" : \"gpt-5\",\n  \"temperature\":0,\"top_p\": 0.0, \"stop\":\"END\", \"seed\":18446744073709551616123," +
	` "top_k":40,"logit_bias":{"1":0.5},"messages":[{"role":"user","content":"\u00e9 é \ud83d\ude00 😀 <b>&amp;\/"},{"role":"assistant","content":""}],` +
	`"n":1e0,"max_tokens":5,"x":{"b":1,"a":[ ]},"x2":-0.0  }` + "\r\n"

const oddAnswer = "\n\n{ \"created\":1.5e9, \"choices\" :[ {\"finish_reason\":\"stop\",\"message\":{\"reasoning\":\"\\u003cx>é\",\"tool_calls\":[{\"function\":{\"arguments\":{\"a\":1}}}]}} ]," +
	` "data":[{}],"results":[{}],"output":[{}],"usage":{"prompt_tokens":1,"cost":0.000001,"big":123456789012345678901234567890},"extra":"<&>"}` + "\n"

func TestBytesGoThroughUnchanged(t *testing.T) {
	for endpoint, path := range map[schema.Endpoint]string{
		"":                     "/v1/chat/completions",
		schema.ChatCompletions: "/v1/chat/completions",
		schema.Responses:       "/v1/responses",
		schema.Completions:     "/v1/completions",
		schema.Embeddings:      "/v1/embeddings",
		schema.Moderations:     "/v1/moderations",
	} {
		t.Run(path, func(t *testing.T) {
			var got []byte
			var seen *http.Request
			r, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
				got, _ = io.ReadAll(req.Body)
				seen = req
				w.Header().Set("X-Request-Id", "req_1")
				_, _ = io.WriteString(w, oddAnswer)
			})
			out := r.Do(background, Request{
				Endpoint: endpoint, Body: json.RawMessage(oddBody),
				Header: http.Header{"Traceparent": {"00-1"}, "Authorization": {"Bearer other"}, "Content-Type": {"text/plain"}},
			})
			wantConsistent(t, out)
			if out.Status != schema.StatusSucceeded {
				t.Fatal(out.Error)
			}
			if string(got) != oddBody || seen.ContentLength != int64(len(oddBody)) {
				t.Errorf("upstream got %d bytes:\n%q\nwant\n%q", seen.ContentLength, got, oddBody)
			}
			if string(out.Response.Body) != oddAnswer || out.Response.RequestID != "req_1" || out.Response.StatusCode != 200 {
				t.Errorf("answer: %d %s\n%q\nwant\n%q", out.Response.StatusCode, out.Response.RequestID, out.Response.Body, oddAnswer)
			}
			h := seen.Header
			if seen.URL.Path != path || seen.Method != "POST" || h.Get("Authorization") != "Bearer "+testKey ||
				h.Get("Content-Type") != "application/json" || h.Get("Traceparent") != "00-1" || h.Get("User-Agent") != "pelton" {
				t.Errorf("%s %s %v", seen.Method, seen.URL.Path, h)
			}
			if *out.Usage != (schema.Usage{PromptTokens: 1, TotalTokens: 1}) {
				t.Errorf("usage %+v", *out.Usage)
			}
		})
	}
}

func TestModelNameIsSplicedIn(t *testing.T) {
	var got []byte
	r, srv := serve(t, func(w http.ResponseWriter, req *http.Request) {
		got, _ = io.ReadAll(req.Body)
		_, _ = io.WriteString(w, okChat)
	})
	_ = r
	d := deploymentAt("mapped", srv.URL)
	d.Model = `o1/"x"`
	d.Organization, d.Project = "org-1", "proj-1"
	d.Headers = map[string]Secret{"Authorization": NewSecret("Token abc"), "x-extra": NewSecret("1")}
	r = start(t, &Config{Deployments: []Deployment{d}}, noWait)
	out := r.Do(background, Request{Body: json.RawMessage(oddBody)})
	if out.Status != schema.StatusSucceeded || out.Attempts[0].Model != d.Model || out.Attempts[0].Deployment != "mapped" {
		t.Fatalf("%+v", out)
	}
	if want := strings.Replace(oddBody, `"gpt-5"`, `"o1/\"x\""`, 1); string(got) != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestDeploymentHeaders(t *testing.T) {
	var h http.Header
	r, srv := serve(t, func(w http.ResponseWriter, req *http.Request) {
		h = req.Header
		_, _ = io.WriteString(w, okChat)
	})
	_ = r
	d := deploymentAt("x", strings.Replace(srv.URL, "http://", "http://user:pass@", 1))
	d.APIKey, d.Organization, d.Project = Secret{}, "org-1", "proj-1"
	d.Headers = map[string]Secret{"x-extra": NewSecret("1")}
	r = start(t, &Config{Deployments: []Deployment{d}}, noWait)
	if out := r.Do(background, chat("m")); out.Status != schema.StatusSucceeded {
		t.Fatal(out.Error)
	}
	if h.Get("Authorization") != "Basic dXNlcjpwYXNz" || h.Get("OpenAI-Organization") != "org-1" || h.Get("OpenAI-Project") != "proj-1" || h.Get("X-Extra") != "1" {
		t.Errorf("headers: %v", h)
	}
	if got := r.Deployments()[0].BaseURL; got != srv.URL+"/v1" {
		t.Errorf("base URL shown as %s", got)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	const limit = 1000
	long := `{"choices":[{"x":"` + strings.Repeat("a", limit) + `"}]}`
	for name, handler := range map[string]http.HandlerFunc{
		"announced": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) },
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, long)
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, long)
			_ = z.Close()
		},
	} {
		_, srv := serve(t, handler)
		r := start(t, &Config{Deployments: []Deployment{deploymentAt("a", srv.URL)}, MaxResponseBytes: limit}, noWait)
		out := r.Do(background, chat("m"))
		wantConsistent(t, out)
		if out.Status != schema.StatusFailed || out.Error.Class != schema.ClassRequestFatal || out.Error.Code != codeTooLarge ||
			len(out.Attempts) != 1 || string(out.Response.Body) != "null" {
			t.Errorf("%s: %+v %v", name, out, out.Error)
		}
		exact := start(t, &Config{Deployments: []Deployment{deploymentAt("a", srv.URL)}, MaxResponseBytes: int64(len(long))}, noWait)
		if out := exact.Do(background, chat("m")); out.Status != schema.StatusSucceeded || string(out.Response.Body) != long {
			t.Errorf("%s, exactly at the bound: %v", name, out.Error)
		}
	}
}

func TestAnswerThatIsNoJSON(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                "\"\"",
		"bad <gateway> \"x\"\n":           `"bad \u003cgateway\u003e \"x\"\n"`,
		"\xff":                            "\"\uFFFD\"",
		`{"error":"` + testKey + `"}`:     `{"error":"[redacted]"}`,
		"plain " + testKey + " and more!": `"plain [redacted] and more!"`,
		"\xef\xbb\xbf{\"error\":1}":       `{"error":1}`,
	} {
		r, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, raw)
		})
		out := r.Do(background, chat("m"))
		wantConsistent(t, out)
		if string(out.Response.Body) != want {
			t.Errorf("%q became %s, want %s", raw, out.Response.Body, want)
		}
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	calls := 0
	r, srv := serve(t, func(w http.ResponseWriter, req *http.Request) {
		calls++
		http.Redirect(w, req, "/v1/elsewhere", http.StatusTemporaryRedirect)
	})
	out := r.Do(background, chat("m"))
	if calls != 1 || out.Error.Class != schema.ClassUpstreamFatal || !strings.Contains(out.Error.Message, "redirect") {
		t.Errorf("%d calls, %v, %s", calls, out.Error, srv.URL)
	}
}

func TestCloseMidAnswer(t *testing.T) {
	r, srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, _ := w.(http.Hijacker).Hijack()
		_, _ = fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":[")
		_ = buf.Flush()
		_ = conn.Close()
	})
	out := r.Do(background, chat("m"))
	wantConsistent(t, out)
	host := strings.TrimPrefix(srv.URL, "http://")
	if out.Error.Class != schema.ClassTransient || !strings.Contains(out.Error.Message, host+" broke off its answer") ||
		len(out.Attempts) != 3 || out.Response != nil || out.Attempts[0].StatusCode != 200 {
		t.Errorf("%+v: %v", out, out.Error)
	}
}

func TestHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if req.Proto != "HTTP/2.0" || string(body) != oddBody {
			t.Errorf("%s %q", req.Proto, body)
		}
		_, _ = io.WriteString(w, oddAnswer)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	r := start(t, &Config{Deployments: []Deployment{deploymentAt("a", srv.URL)}}, noWait)
	out := r.Do(background, Request{Body: json.RawMessage(oddBody)})
	wantConsistent(t, out)
	if !strings.Contains(out.Error.Message, "not trusted") {
		t.Errorf("with a certificate nobody knows: %v", out.Error)
	}
	d := deploymentAt("a", srv.URL)
	d.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(d.CAFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	r = start(t, &Config{Deployments: []Deployment{d}}, noWait)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if out := r.Do(background, Request{Body: json.RawMessage(oddBody)}); out.Status != schema.StatusSucceeded || string(out.Response.Body) != oddAnswer {
				t.Errorf("%v", out.Error)
			}
		})
	}
	wg.Wait()
}

func TestPlainServerUnderHTTPS(t *testing.T) {
	_, srv := serve(t, func(http.ResponseWriter, *http.Request) {})
	d := deploymentAt("a", strings.Replace(srv.URL, "http://", "https://", 1))
	out := start(t, &Config{Deployments: []Deployment{d}}, noWait).Do(background, chat("m"))
	if !strings.Contains(out.Error.Message, "does not speak TLS (should api_base begin with http:// ?)") {
		t.Error(out.Error)
	}
}
