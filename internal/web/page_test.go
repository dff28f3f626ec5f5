package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/jobs"
	"pelton/jobs/store"
	"pelton/schema"
)

// site is a page with a worker behind it.
type site struct {
	*Server
	t      *testing.T
	env    *testenv.Env
	client *jobs.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	env := testenv.New(t)
	env.Worker(map[string]int{"default": 8})
	broker, err := store.Open(env.Conn(), env.Set)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Server: serve(t, Config{Token: token}), t: t, env: env, client: env.Client()}
	page, err := AddPage(s.Server, broker, "default", testenv.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(page.Close)
	nc := env.Conn()
	stop, err := AnswerSurveys(nc, broker.Names, func() Worker {
		return Worker{Name: "w1", Version: "v0.1", Slots: 8, Busy: 3, StartedAt: time.Now(), Queues: map[string]int{"default": 8}, Deployments: env.Router().Status()}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

// submit hands in a job, and waits for its end where wait says so.
func (s *site) submit(id string, wait bool, requests ...schema.Request) *jobs.Handle {
	s.t.Helper()
	h, err := s.client.Submit(s.env.Ctx(), schema.Job{ID: id, Requests: requests})
	if err != nil {
		s.t.Fatal(err)
	}
	if wait {
		if _, err := h.Wait(s.env.Ctx()); err != nil {
			s.t.Fatal(err)
		}
	}
	return h
}

// shows gets a page until all words are in it, for half a minute at most.
func (s *site) shows(path string, words ...string) string {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		status, body, _ := call(s.t, s.Server, "GET", path)
		missing := ""
		for _, word := range words {
			if !strings.Contains(body, word) {
				missing = word
			}
		}
		if missing == "" {
			return body
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("%s: %d without %q:\n%s", path, status, missing, body)
		}
	}
}

// The script's answers of the upstream.
const (
	fails = `{"status":400,"code":"bad_thing"}`
	hangs = `{"latency_ms":3600000}`
)

func named(id string, r schema.Request) schema.Request {
	r.CustomID = id
	return r
}

func TestPageShowsJobs(t *testing.T) {
	s := newSite(t)
	s.shows("/", "There is no job yet")
	s.submit("unsure", true, testenv.Chat("dropped first", `{"fault":"close","times":1}`))
	s.shows("/jobs/default/unsure", "at least ", " in, ", "Not counted", "1 call of unknown usage")
	s.shows("/jobs/default/unsure/requests/0", "at least ", "Not counted", "(may have been billed)")
	s.submit("good", true, testenv.Chats(3)...)
	s.submit("mixed", true, named("first", testenv.Chat("a", "")), named("<b>second</b>", testenv.Chat("b", fails)))
	body := s.shows("/", "/jobs/default/good", "/jobs/default/mixed", "succeeded", "completed with errors", "bad_thing")
	if strings.Index(body, "jobs/default/good") < strings.Index(body, "jobs/default/mixed") {
		t.Error("the newest job comes first")
	}
	if body := s.shows("/?state=succeeded", "jobs/default/good"); strings.Contains(body, "jobs/default/mixed") {
		t.Error("a filter by state lets others through")
	}
	s.shows("/?id=nothing", "No job is like that")
	body = s.shows("/jobs/default/mixed", "2 of 2 done", "1 succeeded, 1 failed", "bad_thing", "400", "mock", "&lt;b&gt;second", "Download results", "Sign in to cancel")
	if strings.Contains(body, "<b>second") {
		t.Error("a custom id is not escaped")
	}
	if body := s.shows("/jobs/default/mixed?status=failed", "request-1", "1 found"); strings.Contains(body, "request-0") {
		t.Error("a search by status lets others through")
	}
	s.shows("/jobs/default/mixed?custom_id=first", "request-0", "1 found")
	s.shows("/jobs/default/mixed?code=bad_thing", "request-1", "1 found")
	s.shows("/jobs/default/mixed/requests/1", "bad_thing", "No.", "mock", "400", "Answer", "Class")
	for _, path := range []string{"/jobs/default/nothing", "/jobs/default/mixed/requests/2", "/jobs/default/mixed/requests/x", "/nothing", "/static/nothing", "/jobs/a%2eb/c"} {
		if status, body, _ := call(t, s.Server, "GET", path); status != 404 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestPageDownloads(t *testing.T) {
	s := newSite(t)
	s.submit("j", true, testenv.Chats(20)...)
	for _, query := range []string{"", "?order=input"} {
		status, body, head := call(t, s.Server, "GET", "/jobs/default/j/results.jsonl"+query)
		lines := strings.Split(strings.TrimSpace(body), "\n")
		if status != 200 || len(lines) != 20 || head.Get("Content-Disposition") != `attachment; filename="j.jsonl"` {
			t.Fatalf("%d with %d lines, %v", status, len(lines), head)
		}
		for i, line := range lines {
			r, err := schema.ParseResult([]byte(line))
			if err != nil || query != "" && r.Index != i {
				t.Fatalf("line %d: %v: %s", i, err, line)
			}
		}
	}
	if status, _, _ := call(t, s.Server, "GET", "/jobs/default/none/results.jsonl"); status != 404 {
		t.Errorf("a job that is not there: %d", status)
	}
}

func TestPageShowsTheFleet(t *testing.T) {
	s := newSite(t)
	s.shows("/workers", "w1", "v0.1", "3/8", "default=8", "serving")
	s.shows("/deployments", "mock", "well", "Seen by 1 worker;")
}

// form sends a form as a browser on the page does.
func form(values url.Values) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept", "text/html")
		body := values.Encode()
		r.Body, r.ContentLength = http.NoBody, 0
		r.URL.RawQuery = body
	}
}

func TestPageCancelsAndRetries(t *testing.T) {
	s := newSite(t)
	h := s.submit("long", false, testenv.Chat("x", hangs))
	s.shows("/jobs/default/long", "1 in flight")

	// Without the token.
	status, body, _ := call(t, s.Server, "POST", "/jobs/default/long/cancel", form(nil))
	if status != 401 || !strings.Contains(body, "token") {
		t.Fatalf("a cancel without the token: %d %s", status, body)
	}
	if state, err := h.State(t.Context()); err != nil || state.State != schema.Running {
		t.Fatalf("%v, %v", state, err)
	}
	if status, _, head := call(t, s.Server, "POST", "/sign-in", form(url.Values{"token": {"another"}})); status != 401 || head.Get("Set-Cookie") != "" {
		t.Fatalf("a wrong token: %d, %v", status, head)
	}

	// With it.
	status, _, head := call(t, s.Server, "POST", "/sign-in", form(url.Values{"token": {token}, "next": {"//evil.example/"}}))
	cookie, _, _ := strings.Cut(head.Get("Set-Cookie"), ";")
	if status != 303 || head.Get("Location") != "/" || cookie == "" || strings.Contains(cookie, token) ||
		!strings.Contains(head.Get("Set-Cookie"), "HttpOnly") || !strings.Contains(head.Get("Set-Cookie"), "SameSite=Strict") {
		t.Fatalf("%d, %v", status, head)
	}
	signed := header("Cookie", cookie)
	if _, body, _ := call(t, s.Server, "GET", "/jobs/default/long", signed); !strings.Contains(body, "Cancel the job") {
		t.Error("there is no button")
	}
	if status, _, head := call(t, s.Server, "POST", "/jobs/default/long/cancel", form(url.Values{"reason": {"wrong prompts"}}), signed); status != 303 {
		t.Fatalf("a cancel with the token: %d, %v", status, head)
	}
	state, err := h.Wait(s.env.Ctx())
	if err != nil || state.State != schema.Cancelled || state.Reason.Message != "wrong prompts" {
		t.Fatalf("%+v, %v", state, err)
	}
	s.shows("/jobs/default/long", "cancelled", "wrong prompts")

	s.submit("bad", true, testenv.Chat("b", fails))
	status, _, head = call(t, s.Server, "POST", "/jobs/default/bad/retry", form(nil), signed)
	if status != 303 || !strings.HasPrefix(head.Get("Location"), "/jobs/default/") {
		t.Fatalf("a retry: %d, %v", status, head)
	}
	s.shows(head.Get("Location"), "Retry of", "/jobs/default/bad")
	s.submit("good", true, testenv.Chats(1)...)
	if status, _, _ := call(t, s.Server, "POST", "/jobs/default/good/retry", form(nil), signed); status != 404 {
		t.Errorf("a retry of what has succeeded: %d", status)
	}
}

// A stream brings what is new without being asked, and nothing twice.
func TestPageIsLive(t *testing.T) {
	s := newSite(t)
	h := s.submit("long", false, testenv.Chat("a", ""), testenv.Chat("x", hangs))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL()+"/live/jobs/default/long", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("%d %s", answer.StatusCode, kind)
	}
	until := func(word string) {
		t.Helper()
		var seen strings.Builder
		buffer := make([]byte, 4096)
		for !strings.Contains(seen.String(), word) {
			n, err := answer.Body.Read(buffer)
			seen.Write(buffer[:n])
			if err != nil {
				t.Fatalf("%v before %q: %s", err, word, seen.String())
			}
		}
	}
	until("1 of 2 done")
	if err := h.Cancel(ctx, "enough"); err != nil {
		t.Fatal(err)
	}
	until("enough")
}
