package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// What upstreams answer in the place of an answer, each to the first call of a request,
// as scripts of the mock; %q is the request's name.
var troubles = []string{
	`{"key":%q,"times":1,"status":429,"retry_after":1}`,
	`{"key":%q,"times":1,"status":429,"message":"Rate limit reached. Please try again in 300ms."}`,
	`{"key":%q,"times":1,"status":429,"headers":{"X-RateLimit-Reset":"0.3"}}`,
	`{"key":%q,"times":1,"status":429,"headers":{"Retry-After":"PT1S"}}`,
	`{"key":%q,"times":1,"status":429,"code":"rate_limit_exceeded","message":"Request too large for m on tokens per min (TPM): Limit 30000, Requested 342389."}`,
	`{"key":%q,"times":1,"status":413,"message":"Request too large for m on tokens per minute (TPM): Limit 6000, Requested 6407, please reduce your message size."}`,
	`{"key":%q,"times":1,"status":498}`,
	`{"key":%q,"times":1,"status":424}`,
	`{"key":%q,"times":1,"status":529}`,
	`{"key":%q,"times":1,"fault":"hang"}`,
	`{"key":%q,"times":1,"raw":"{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":\"content_filter\"}]}"}`,
	`{"key":%q,"times":1,"raw":"{\"choices\":[null]}"}`,
	`{"key":%q,"times":1,"raw":"{\"choices\":[{\"message\":null}]}"}`,
	`{"key":%q,"raw":"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"You said so\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"}`,
	`{"key":%q,"status":404,"message":"Item with id 'rs_1' not found."}`, // which no call helps
}

// Models whose upstream never answers, and what it says instead: fallbacks take over.
var useless = map[string]struct {
	status int
	body   string
}{
	"retired": {410, `{"error":{"message":"The model has been retired."}}`},
	"daily":   {429, `{"error":{"code":429,"message":"Quota exceeded for metric: free_tier_requests, limit: 0, model: x. Please retry in 39s.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"39s"}]}}`},
	"poor":    {400, `{"error":{"message":"Your credit balance is too low.","type":"invalid_request_error","code":"credit_balance_too_low"}}`},
}

// mixedRows are n requests, of which every share-th meets trouble; 0: none. hopeless is
// how many of them nobody can answer.
func mixedRows(n, share int) (rows []schema.Request, hopeless int) {
	models := []string{"retired", "daily", "poor"}
	audio := strings.Repeat("UklGRiQAAABXQVZFZm10IBAAAAABAAEA", 2000)
	for i := range n {
		name := fmt.Sprint(i)
		if share == 0 || i%share != 0 {
			rows = append(rows, testenv.Chat(name, ""))
			continue
		}
		switch kind := i / share % (len(troubles) + len(models) + 1); {
		case kind < len(troubles):
			rows = append(rows, testenv.Chat(name, fmt.Sprintf(troubles[kind], name)))
			if strings.Contains(troubles[kind], "rs_1") {
				hopeless++
			}
		case kind < len(troubles)+len(models):
			row := testenv.Chat(name, "")
			row.Body = json.RawMessage(strings.Replace(string(row.Body), `"model":"m"`, `"model":"`+models[kind-len(troubles)]+`"`, 1))
			rows = append(rows, row)
		default:
			row := testenv.Chat(name, "")
			row.Body = json.RawMessage(strings.Replace(string(row.Body), `"content":"`+name+`"`,
				`"content":[{"type":"text","text":"`+name+`"},{"type":"input_audio","input_audio":{"data":"`+audio+`","format":"wav"}}]`, 1))
			rows = append(rows, row)
		}
	}
	return rows, hopeless
}

// runMixed runs rows on two deployments with fallbacks, and returns how many succeeded,
// how many calls there were, and how long it took.
func runMixed(t testing.TB, rows []schema.Request) (succeeded int, calls int64, took time.Duration) {
	e := testenv.New(t, testenv.LLM(faultyllm.Config{Latency: 50 * time.Millisecond}))
	var others atomic.Int64
	deployments := []router.Deployment{
		{ID: "a", Group: "m", Model: "m", BaseURL: e.LLM.URL(), MaxInputTokens: 50_000},
		{ID: "b", Group: "m", Model: "m", BaseURL: e.LLM.URL(), MaxInputTokens: 50_000},
		{ID: "c", Group: "big", Model: "big", BaseURL: e.LLM.URL()},
	}
	fallbacks := map[string][]string{}
	for model, says := range useless {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			others.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(says.status)
			_, _ = w.Write([]byte(says.body))
		}))
		t.Cleanup(srv.Close)
		deployments = append(deployments, router.Deployment{ID: model, Group: model, Model: model, BaseURL: srv.URL + "/v1"})
		fallbacks[model] = []string{"big"}
	}
	to := map[string][]string{"m": {"big"}}
	e.Worker(map[string]int{"default": 16}, func(c *worker.Config) {
		c.Router = e.Router(func(rc *router.Config) {
			rc.Deployments, rc.Fallbacks, rc.ContextWindowFallbacks, rc.ContentPolicyFallbacks = deployments, fallbacks, to, to
		})
	})
	began := time.Now()
	h, err := e.Client().Submit(e.Ctx(), schema.Job{Requests: rows, Concurrency: 16, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	state, err := h.Wait(e.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	return state.Counts.Succeeded, int64(e.LLM.Stats().Calls) + others.Load(), time.Since(began)
}

// A thousand rows of which every fifth meets some trouble: each that can succeed does,
// and few calls are made in vain.
func TestMixedTroubles(t *testing.T) {
	const n = 1000
	rows, hopeless := mixedRows(n, 5)
	succeeded, calls, _ := runMixed(t, rows)
	if succeeded != n-hopeless {
		t.Errorf("%d succeeded, want %d", succeeded, n-hopeless)
	}
	if calls > n*13/10 {
		t.Errorf("%d calls for %d rows", calls, n)
	}
}

// BenchmarkMixedTroubles says how much longer the same rows take with troubles than
// without: go test ./worker -run '^$' -bench MixedTroubles -benchtime 1x.
func BenchmarkMixedTroubles(b *testing.B) {
	for b.Loop() {
		clean, _ := mixedRows(1000, 0)
		_, _, without := runMixed(b, clean)
		rows, _ := mixedRows(1000, 5)
		_, calls, with := runMixed(b, rows)
		b.ReportMetric(without.Seconds(), "s/clean")
		b.ReportMetric(with.Seconds(), "s/mixed")
		b.ReportMetric((with.Seconds()-1)/without.Seconds(), "ratio-less-longest-wait")
		b.ReportMetric(float64(calls)/1000, "calls/row")
	}
}
