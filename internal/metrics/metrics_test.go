package metrics

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"pelton/internal/dev/testenv"
	"pelton/internal/faultyllm"
	"pelton/jobs"
	"pelton/jobs/board"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.Leaks()...) }

var (
	_ worker.Observer = (*Metrics)(nil)
	_ router.Observer = (*Metrics)(nil)
)

// promised are the names and labels that dashboards rely on.
var promised = map[string]string{
	"pelton_jobs":                    "queue,state",
	"pelton_requests_total":          "class,model_group,queue,status",
	"pelton_requests_wanted":         "queue",
	"pelton_queue_age_seconds":       "queue",
	"pelton_inflight":                "deployment",
	"pelton_inflight_limit":          "deployment",
	"pelton_slots":                   "",
	"pelton_slots_busy":              "",
	"pelton_attempt_seconds":         "deployment,outcome",
	"pelton_ttft_seconds":            "deployment,outcome",
	"pelton_retries_total":           "class,deployment",
	"pelton_cooldowns_total":         "class,deployment",
	"pelton_tokens_total":            "direction,model_group",
	"pelton_cost_usd_total":          "direction,model_group",
	"pelton_unknown_attempts_total":  "model_group",
	"pelton_unpriced_attempts_total": "model_group",
	"pelton_duplicate_calls_total":   "queue",
	"pelton_takeovers_total":         "queue",
	"pelton_store_bytes":             "stream",
}

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, m *Metrics) (map[string]*dto.MetricFamily, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.Code != 200 {
		t.Fatalf("%d, %v: %s", answer.Code, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return families, string(text)
}

// value is the one figure with these labels, as in `queue="default"`.
func value(text, name string, labels ...string) string {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		if !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(line, l) }) {
			return strings.TrimSpace(line[strings.LastIndexByte(line, ' '):])
		}
	}
	return ""
}

// Under load: every promised name is there with its labels and no other, the
// lint is content, and the figures are those of what was done.
func TestScrapeUnderLoad(t *testing.T) {
	const n = 300
	env := testenv.New(t, testenv.LLM(faultyllm.Config{}))
	m := New([]string{"default", "idle"})
	one, small := 1e-6, 2e-6
	cfg := &router.Config{Deployments: []router.Deployment{{
		ID: "mock", Group: "*", Model: "*", BaseURL: env.LLM.URL(), MaxParallel: 64, Prices: router.Prices{Input: &one, Output: &small},
	}}}
	upstreams, err := router.New(cfg, router.WithObserver(m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstreams.Close)
	m.Know(map[string]string{"mock": "all"})
	client := env.Client()
	b := board.Open(env.Store(map[string]int{"default": 16}))
	t.Cleanup(b.Close)
	m.Look(Sources{
		Board: func(ctx context.Context) (*board.Board, error) { return b, b.Wait(ctx) }, Storage: client.Storage,
		Deployments: upstreams.Status, Queues: []string{"default", "idle"}, Slots: 16, Log: testenv.Logger(t),
	})
	env.Worker(map[string]int{"default": 16}, func(c *worker.Config) { c.Router, c.Observer, c.Slots = upstreams, m, 16 })
	requests := testenv.Chats(n)
	for i := range 10 {
		requests = append(requests, testenv.Chat(fmt.Sprint("bad ", i), `{"status":400,"code":"bad_thing"}`))
	}
	requests = append(requests, testenv.Chat("again", `{"status":500,"times":1}`))
	h, err := client.Submit(env.Ctx(), schema.Job{ID: "j", Requests: requests, Concurrency: 16})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := h.Wait(env.Ctx()); err != nil {
			t.Error(err)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			_, text := scrape(t, m)
			problems, err := promlint.New(strings.NewReader(text)).Lint()
			if err != nil || len(problems) > 0 {
				t.Fatalf("%v: %v", err, problems)
			}
		}
	}
	m.Duplicate("default")
	ttft := 12.0
	m.Called("all", &schema.Attempt{Deployment: "mock", LatencyMs: 20, TTFTMs: &ttft}, 0, 0)
	m.Called("unsure", &schema.Attempt{Deployment: "mock", UsageUnknown: true, Error: &schema.Error{Class: schema.ClassTimeout}}, 0, 0)
	m.Called("unsure", &schema.Attempt{Deployment: "mock", Usage: &schema.Usage{PromptTokens: 1}, Error: &schema.Error{Class: schema.ClassTimeout}}, 0, 0)
	m.LeftAlone("mock", schema.ClassTransient)
	families, text := scrape(t, m)
	checkNames(t, families)
	for _, want := range []struct {
		value, name string
		labels      []string
	}{
		{fmt.Sprint(n + 1), "pelton_requests_total", []string{`queue="default"`, `model_group="all"`, `status="succeeded"`, `class="none"`}},
		{"10", "pelton_requests_total", []string{`status="failed"`, `class="request_fatal"`}},
		{"0", "pelton_requests_wanted", []string{`queue="default"`}},
		{"0", "pelton_requests_wanted", []string{`queue="idle"`}},
		{"0", "pelton_queue_age_seconds", []string{`queue="default"`}},
		{"0", "pelton_slots_busy", nil},
		{"16", "pelton_slots", nil},
		{"0", "pelton_inflight", []string{`deployment="mock"`}},
		{"64", "pelton_inflight_limit", []string{`deployment="mock"`}},
		{fmt.Sprint(n + 2), "pelton_attempt_seconds_count", []string{`outcome="succeeded"`}},
		{"1", "pelton_retries_total", []string{`deployment="mock"`, `class="transient"`}},
		{"1", "pelton_unknown_attempts_total", []string{`model_group="unsure"`}},
		{"1", "pelton_unpriced_attempts_total", []string{`model_group="unsure"`}},
		{"1", "pelton_unknown_attempts_total", []string{`model_group="*"`}}, // the 5xx
		{"0", "pelton_unpriced_attempts_total", []string{`model_group="all"`}},
		{"1", "pelton_duplicate_calls_total", []string{`queue="default"`}},
		{"0", "pelton_takeovers_total", []string{`queue="default"`}},
	} {
		if got := value(text, want.name, want.labels...); got != want.value {
			t.Errorf("%s%v is %q, want %s", want.name, want.labels, got, want.value)
		}
	}
	for _, positive := range []string{"pelton_tokens_total", "pelton_cost_usd_total"} {
		for _, way := range []string{directionIn, directionOut} {
			if got := value(text, positive, `direction="`+way+`"`, `model_group="*"`); got == "" || got == "0" {
				t.Errorf("%s of %s is %q", positive, way, got)
			}
		}
	}
}

func checkNames(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	for name, labels := range promised {
		family := families[name]
		if family == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		for _, metric := range family.Metric {
			var have []string
			for _, l := range metric.Label {
				have = append(have, l.GetName())
			}
			slices.Sort(have)
			if strings.Join(have, ",") != labels {
				t.Errorf("%s has the labels %v, want %s", name, have, labels)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if promised[name] == "" && strings.HasPrefix(name, "pelton_") && !regexp.MustCompile(`^pelton_slots(_busy)?$`).MatchString(name) {
			t.Errorf("%s is not promised", name)
		}
	}
}

// The table in docs is that of the promises: operators read it, and no code.
func TestTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/page.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`pelton_[^|]*) \\| ([^|]*) ?\\|").FindAllStringSubmatch(string(text), -1) {
		labels := strings.FieldsFunc(row[2], func(c rune) bool { return c == ',' || c == ' ' })
		slices.Sort(labels)
		for _, name := range regexp.MustCompile("pelton_[a-z_]+").FindAllString(row[1], -1) {
			told[name] = strings.Join(labels, ",")
		}
	}
	if !maps.Equal(told, promised) {
		t.Errorf("docs/page.md tells of %v, want %v", told, promised)
	}
}

// A broker that does not answer takes its figures away, and no others.
func TestScrapeWithoutABroker(t *testing.T) {
	m := New([]string{"default"})
	m.Look(Sources{
		Board:       func(context.Context) (*board.Board, error) { return nil, jobs.ErrNotSetUp },
		Storage:     func(context.Context) (*jobs.Storage, error) { return nil, jobs.ErrNotSetUp },
		Deployments: func() []router.DeploymentStatus { return []router.DeploymentStatus{{ID: "d", InFlight: 3}} },
		Slots:       4, Log: testenv.Logger(t),
	})
	m.Began()
	_, text := scrape(t, m)
	for name, want := range map[string]string{"pelton_slots_busy": "1", "pelton_inflight": "3", "pelton_jobs": "", "pelton_store_bytes": "", "pelton_inflight_limit": ""} {
		if got := value(text, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A request pays for being counted by no garbage.
func TestCountingAllocatesNothing(t *testing.T) {
	m := New([]string{"default"})
	m.Know(map[string]string{"d": "g"})
	a := &schema.Attempt{Deployment: "d", LatencyMs: 12, Usage: &schema.Usage{PromptTokens: 1, CompletionTokens: 2}}
	r := &schema.Result{Status: schema.StatusSucceeded, Attempts: []schema.Attempt{*a}}
	count := func() {
		m.Began()
		m.Called("g", a, 1, 2)
		m.Stored("default", r)
		m.Ended()
	}
	count()
	if n := testing.AllocsPerRun(100, count); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkCount(b *testing.B) {
	m := New([]string{"default"})
	m.Know(map[string]string{"d": "g"})
	a := &schema.Attempt{Deployment: "d", LatencyMs: 12, Usage: &schema.Usage{PromptTokens: 1, CompletionTokens: 2}}
	r := &schema.Result{Status: schema.StatusSucceeded, Attempts: []schema.Attempt{*a}}
	b.ReportAllocs()
	for b.Loop() {
		m.Began()
		m.Called("g", a, 1, 2)
		m.Stored("default", r)
		m.Ended()
	}
}
