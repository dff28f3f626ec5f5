package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"pelton/internal/dev/testenv"
	"pelton/internal/telemetry"
	"pelton/jobs/queue"
	"pelton/router"
	"pelton/schema"
	"pelton/worker"
)

// sink is an OTLP collector.
type sink struct {
	mu       sync.Mutex
	raw      [][]byte
	spans    []*otlp.Span
	resource []*common.KeyValue
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	data, err := io.ReadAll(body)
	var in collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(data, &in) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = append(s.raw, data)
	for _, rs := range in.GetResourceSpans() {
		s.resource = rs.GetResource().GetAttributes()
		for _, ss := range rs.GetScopeSpans() {
			s.spans = append(s.spans, ss.GetSpans()...)
		}
	}
}

// named are the spans of a name, by their start.
func (s *sink) named(name string) []*otlp.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*otlp.Span
	for _, span := range s.spans {
		if span.GetName() == name {
			list = append(list, span)
		}
	}
	slices.SortFunc(list, func(a, b *otlp.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	return list
}

func (s *sink) holds(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.raw, func(data []byte) bool { return bytes.Contains(data, []byte(text)) })
}

// values are the attributes of a span as text.
func values(list []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			m[kv.GetKey()] = v.StringValue
		default:
			m[kv.GetKey()] = strings.TrimSpace(kv.GetValue().String())
		}
	}
	return m
}

// world is an installation that is traced, with an upstream that remembers the
// traceparents it was given.
type world struct {
	*testenv.Env
	sink    *sink
	traces  *telemetry.Traces
	worker  *testenv.Worker
	mu      sync.Mutex
	parents []string
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{Env: testenv.New(t), sink: &sink{}}
	out := httptest.NewServer(w.sink)
	t.Cleanup(out.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", out.URL)
	target, err := url.Parse(strings.TrimSuffix(w.LLM.URL(), "/v1"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.parents = append(w.parents, r.Header.Get("Traceparent"))
		w.mu.Unlock()
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(upstream.Close)
	if w.traces, err = telemetry.Setup(t.Context(), os.LookupEnv, telemetry.Config{Version: "v0", Worker: "w", Log: testenv.Logger(t)}); err != nil || w.traces == nil {
		t.Fatalf("%v, %v", w.traces, err)
	}
	t.Cleanup(w.traces.Close)
	w.worker = w.Worker(map[string]int{"default": 8}, func(c *worker.Config) {
		c.Tracer = w.traces
		c.Router = w.Router(func(c *router.Config) { c.Deployments[0].BaseURL = upstream.URL + "/v1" })
	})
	return w
}

// run publishes a job and ends the worker when it is done: everything is
// exported then.
func (w *world) run(id, traceparent, body string) *schema.State {
	w.T.Helper()
	m := nats.NewMsg("pelton.jobs.default")
	m.Data = []byte(body)
	if traceparent != "" {
		m.Header.Set("traceparent", traceparent)
	}
	nc := w.Conn()
	if _, err := nc.RequestMsgWithContext(w.Ctx(), m); err != nil {
		w.T.Fatal(err)
	}
	state, err := w.Client().Job("default", id).Wait(w.Ctx())
	if err != nil {
		w.T.Fatal(err)
	}
	if err := w.worker.Drain(); err != nil {
		w.T.Fatal(err)
	}
	w.traces.Close()
	return state
}

const (
	producerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	producerSpan  = "00f067aa0ba902b7"
	twoRequests   = `{"id":"traced","requests":[
		{"custom_id":"plain","body":{"model":"m","messages":[{"role":"user","content":"a secret question"}]}},
		{"custom_id":"retried","body":{"model":"m","messages":[{"role":"user","content":"again"}],"mock":{"status":500,"times":1}}}]}`
)

func TestTraceOfAJob(t *testing.T) {
	w := start(t)
	state := w.run("traced", "00-"+producerTrace+"-"+producerSpan+"-01", twoRequests)
	if state.State != schema.Succeeded {
		t.Fatalf("%s: %+v", state.State, state.Errors)
	}
	if got := values(w.sink.resource); got["service.name"] != "pelton" || got["service.version"] != "v0" || got["service.instance.id"] != "w" {
		t.Errorf("resource %v", got)
	}
	for _, span := range w.sink.spans {
		if got := hex.EncodeToString(span.GetTraceId()); got != producerTrace {
			t.Errorf("%s is of the trace %s", span.GetName(), got)
		}
	}

	job := only(t, w.sink.named("job default"))
	if got := hex.EncodeToString(job.GetParentSpanId()); got != producerSpan || job.GetKind() != otlp.Span_SPAN_KIND_CONSUMER {
		t.Errorf("the job's parent is %s, its kind %s", got, job.GetKind())
	}
	if got, want := time.Unix(0, int64(job.GetStartTimeUnixNano())).UTC(), state.CreatedAt; !got.Equal(want) {
		t.Errorf("the job begins at %s, was published at %s", got, want)
	}
	if got, want := time.Unix(0, int64(job.GetEndTimeUnixNano())).UTC(), *state.FinishedAt; !got.Equal(want) {
		t.Errorf("the job ends at %s, its record says %s", got, want)
	}
	if got := values(job.GetAttributes()); got["pelton.job.id"] != "traced" || got["pelton.job.state"] != "succeeded" || got["pelton.job.count.succeeded"] != "int_value:2" {
		t.Errorf("the job has %v", got)
	}

	requests := w.sink.named("process default")
	if len(requests) != 2 {
		t.Fatalf("%d requests", len(requests))
	}
	calls := map[string][]*otlp.Span{}
	for _, r := range requests {
		about := values(r.GetAttributes())
		if !bytes.Equal(r.GetParentSpanId(), job.GetSpanId()) || about["pelton.request.status"] != "succeeded" || about["messaging.message.id"] != "traced."+strings.TrimPrefix(about["pelton.request.index"], "int_value:") {
			t.Errorf("request with parent %x: %v", r.GetParentSpanId(), about)
		}
		wait := only(t, under(w.sink.named("queue wait"), r))
		if wait.GetStartTimeUnixNano() != uint64(state.CreatedAt.UnixNano()) || wait.GetStartTimeUnixNano() != r.GetStartTimeUnixNano() {
			t.Errorf("the wait begins at %d, the request at %d, the job was published at %d", wait.GetStartTimeUnixNano(), r.GetStartTimeUnixNano(), state.CreatedAt.UnixNano())
		}
		calls[about["pelton.request.custom_id"]] = under(w.sink.named("chat m"), r)
		for _, call := range calls[about["pelton.request.custom_id"]] {
			if call.GetKind() != otlp.Span_SPAN_KIND_CLIENT || call.GetStartTimeUnixNano() < wait.GetEndTimeUnixNano() || call.GetEndTimeUnixNano() > r.GetEndTimeUnixNano() {
				t.Errorf("call of kind %s from %d to %d; waited until %d, request until %d", call.GetKind(),
					call.GetStartTimeUnixNano(), call.GetEndTimeUnixNano(), wait.GetEndTimeUnixNano(), r.GetEndTimeUnixNano())
			}
		}
	}

	plain := only(t, calls["plain"])
	about := values(plain.GetAttributes())
	for name, want := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m", "gen_ai.response.model": "m",
		"pelton.deployment": "mock", "pelton.attempt.number": "int_value:1", "http.response.status_code": "int_value:200", "server.address": "127.0.0.1",
	} {
		if about[name] != want {
			t.Errorf("the call's %s is %q, want %q", name, about[name], want)
		}
	}
	for _, name := range []string{"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.response.id", "gen_ai.response.finish_reasons", "server.port"} {
		if about[name] == "" {
			t.Errorf("the call has no %s: %v", name, about)
		}
	}

	retried := calls["retried"]
	if len(retried) != 2 {
		t.Fatalf("%d calls, want 2", len(retried))
	}
	first, second := values(retried[0].GetAttributes()), values(retried[1].GetAttributes())
	if first["error.type"] != "transient" || first["http.response.status_code"] != "int_value:500" || retried[0].GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("the failed call has %v, %s", first, retried[0].GetStatus())
	}
	if second["error.type"] != "" || second["pelton.attempt.number"] != "int_value:2" || len(retried[1].GetLinks()) != 1 || !bytes.Equal(retried[1].GetLinks()[0].GetSpanId(), retried[0].GetSpanId()) {
		t.Errorf("the second call has %v and the links %v", second, retried[1].GetLinks())
	}

	for _, call := range w.sink.named("chat m") {
		if want := "00-" + producerTrace + "-" + hex.EncodeToString(call.GetSpanId()) + "-01"; !slices.Contains(w.parents, want) {
			t.Errorf("no call had the traceparent %s: %v", want, w.parents)
		}
	}
	if len(w.parents) != 3 {
		t.Errorf("%d calls at the upstream", len(w.parents))
	}
	if w.sink.holds("secret question") {
		t.Error("a prompt was exported, unasked")
	}
}

// Without a producer's traceparent a job has a trace of its own, and one only.
func TestTraceWithoutProducer(t *testing.T) {
	t.Setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
	w := start(t)
	w.run("traced", "", twoRequests)
	job := only(t, w.sink.named("job default"))
	if len(job.GetParentSpanId()) != 0 {
		t.Errorf("parent %x", job.GetParentSpanId())
	}
	for _, span := range w.sink.spans {
		if !bytes.Equal(span.GetTraceId(), job.GetTraceId()) {
			t.Errorf("%s is of another trace", span.GetName())
		}
	}
	if n := len(under(w.sink.named("process default"), job)); n != 2 {
		t.Errorf("%d requests", n)
	}
	if !w.sink.holds(`"parts":[{"type":"text","content":"a secret question"}]`) || !w.sink.holds("You said: a secret question") {
		t.Error("no prompt or no answer was exported, though asked for")
	}
}

// A job whose trace is not recorded is passed on as such.
func TestUnsampled(t *testing.T) {
	w := start(t)
	w.run("traced", "00-"+producerTrace+"-"+producerSpan+"-00", twoRequests)
	if len(w.sink.spans) != 0 {
		t.Errorf("%d spans", len(w.sink.spans))
	}
	for _, parent := range w.parents {
		if !strings.HasPrefix(parent, "00-"+producerTrace) || !strings.HasSuffix(parent, "-00") {
			t.Errorf("traceparent %s", parent)
		}
	}
}

// A refused job has its span too, and nothing below it.
func TestTraceOfARefusedJob(t *testing.T) {
	w := start(t)
	w.run("broken", "00-"+producerTrace+"-"+producerSpan+"-01", `{"id":"broken","requests":[{"model":"m"}]}`)
	job := only(t, w.sink.named("job default"))
	about := values(job.GetAttributes())
	if about["pelton.job.reason"] != schema.ReasonInvalidJob || job.GetStatus().GetCode() != otlp.Status_STATUS_CODE_ERROR || len(w.sink.spans) != 1 {
		t.Errorf("%v, %s, %d spans", about, job.GetStatus(), len(w.sink.spans))
	}
}

// The next owner of a job hands on the same traceparent.
func TestNextOwnerHasTheSameTrace(t *testing.T) {
	job := schema.State{Queue: "default", ID: "j", CreatedAt: time.Unix(1, 5)}
	for _, parent := range []string{"", "00-" + producerTrace + "-" + producerSpan + "-01", "nonsense"} {
		a, b := mustSetup(t).JobTrace(parent, job), mustSetup(t).JobTrace(parent, job)
		if a != b || len(a) != 55 || strings.Contains(parent, producerTrace) != strings.Contains(a, producerTrace) {
			t.Errorf("parent %q: %q and %q", parent, a, b)
		}
	}
	again := job
	again.CreatedAt = time.Unix(2, 0)
	if mustSetup(t).JobTrace("", job) == mustSetup(t).JobTrace("", again) {
		t.Error("two jobs of the same name have one trace")
	}
}

// A collector that is not there costs nothing but its spans.
func TestCollectorIsAway(t *testing.T) {
	w := testenv.New(t)
	traces := mustSetup(t)
	run := w.Worker(map[string]int{"default": 8}, func(c *worker.Config) { c.Tracer = traces })
	results, err := w.Client().Run(w.Ctx(), schema.Job{Requests: testenv.Chats(20)})
	if err != nil || len(results) != 20 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	if err := run.Drain(); err != nil {
		t.Fatal(err)
	}
	traces.Close()
}

// mustSetup exports to where nobody listens.
func mustSetup(t *testing.T) *telemetry.Traces {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	traces, err := telemetry.Setup(t.Context(), os.LookupEnv, telemetry.Config{Log: testenv.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traces.Close)
	return traces
}

func TestOn(t *testing.T) {
	for _, c := range []struct {
		env  string
		want bool
	}{
		{"", false},
		{"OTEL_SERVICE_NAME=x", false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", true},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4318/v1/traces", true},
		{"OTEL_TRACES_EXPORTER=otlp", true},
		{"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", false},
		{"OTEL_SDK_DISABLED=true OTEL_TRACES_EXPORTER=otlp", false},
	} {
		if got := telemetry.On(env(c.env)); got != c.want {
			t.Errorf("%q: %v", c.env, got)
		}
	}
}

func env(text string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for pair := range strings.FieldsSeq(text) {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func TestSetupRefuses(t *testing.T) {
	for setting, want := range map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin":                                              "OTEL_TRACES_EXPORTER",
		"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/json":          "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=smoke-signs": "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
	} {
		_, err := telemetry.Setup(t.Context(), env(setting), telemetry.Config{})
		if err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("%s: %v", setting, err)
		}
	}
	var off *telemetry.Traces
	off.Close()
}

func TestParkedAndGivenUp(t *testing.T) {
	out := &sink{}
	server := httptest.NewServer(out)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	traces, err := telemetry.Setup(t.Context(), os.LookupEnv, telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	work := workOf(now.Add(-time.Minute))
	traces.Request(work, now, nil).Ended(nil, &schema.Parked{})
	earlier := []schema.Attempt{{StartedAt: now.Add(-time.Second), LatencyMs: 500}}
	traces.Request(work, now, earlier).Ended(nil, nil)
	traces.Close()
	list := out.named("process default")
	if len(list) != 2 {
		t.Fatalf("%d spans", len(list))
	}
	for i, want := range []string{"parked", "given_up"} {
		if got := values(list[i].GetAttributes())["pelton.request.status"]; got != want {
			t.Errorf("status %s, want %s", got, want)
		}
	}
	if got := now.UnixNano() - int64(list[1].GetStartTimeUnixNano()); got != int64(500*time.Millisecond) {
		t.Errorf("a request that was parked waits since %s, not since the end of its last call", time.Duration(got))
	}
}

func only(t *testing.T, list []*otlp.Span) *otlp.Span {
	t.Helper()
	if len(list) != 1 {
		t.Fatalf("%d spans, want one", len(list))
	}
	return list[0]
}

// under are the spans whose parent is the given one.
func under(list []*otlp.Span, parent *otlp.Span) []*otlp.Span {
	return slices.DeleteFunc(list, func(s *otlp.Span) bool { return !bytes.Equal(s.GetParentSpanId(), parent.GetSpanId()) })
}

func workOf(queued time.Time) *queue.Item {
	return &queue.Item{Queue: "default", Job: "j", Endpoint: schema.ChatCompletions, QueuedAt: queued}
}
