// Package telemetry follows jobs through OpenTelemetry. It is off unless the
// standard variables ask for it.
//
// # The trace of a job
//
//	(the producer's span, where its traceparent came with the job)
//	└─ job QUEUE                 from publish to end, by the owner that ends it
//	   ├─ process QUEUE          one per request and slot that took it up
//	   │  ├─ queue wait          from its queueing to the slot
//	   │  ├─ chat MODEL          one per call, failed
//	   │  └─ chat MODEL          linked to the call that it repeats
//	   └─ …
//
// The upstream gets the traceparent of the call's span.
//
// A job has no process: its owner may die, and the next one goes on. So the
// identity of its span is computed from the job, not drawn: every owner hands
// the same to the requests, and the one that writes the end exports the span,
// whole, with the times of the record. A job without traceparent gets the
// identity of its trace in the same way.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces makes spans of what a worker is doing and exports them in the
// background: a collector that is slow or away delays nothing, spans are then
// dropped. A nil *Traces is off. It is safe for concurrent use.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	content  bool // prompts and answers go with the spans
}

// Config says who exports.
type Config struct {
	Version string // of the program
	Worker  string // the name of this one
	Log     zerolog.Logger
}

// variable is one of the environment; empty and unset are the same.
type variable func(name string) (string, bool)

func (v variable) get(name string) string {
	value, _ := v(name)
	return strings.TrimSpace(value)
}

// On reports whether the environment asks for traces: with OTEL_TRACES_EXPORTER,
// or with the address of a collector.
func On(env func(string) (string, bool)) bool {
	v := variable(env)
	if off, _ := strconv.ParseBool(v.get("OTEL_SDK_DISABLED")); off {
		return false
	}
	if exporter := v.get("OTEL_TRACES_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return v.get("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || v.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Setup begins to export as the OTEL_ variables say, and returns nil when they
// ask for nothing. It makes no call: a collector may come later.
func Setup(ctx context.Context, env func(string) (string, bool), cfg Config) (*Traces, error) {
	if !On(env) {
		return nil, nil
	}
	v := variable(env)
	exporter, err := exporterFor(ctx, v)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String(attrService, "pelton"), attribute.String(attrVersion, cfg.Version), attribute.String(attrInstance, cfg.Worker)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(quiet(cfg.Log)))
	content, _ := strconv.ParseBool(v.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"))
	return newTraces(sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about),
		sdktrace.WithIDGenerator(identities{})), content), nil
}

func newTraces(provider *sdktrace.TracerProvider, content bool) *Traces {
	return &Traces{provider: provider, tracer: provider.Tracer("pelton"), content: content}
}

// exporterFor is the exporter for the protocol that is asked for; address,
// headers, certificates and time-outs it reads from the environment itself.
func exporterFor(ctx context.Context, v variable) (*otlptrace.Exporter, error) {
	if name := v.get("OTEL_TRACES_EXPORTER"); name != "" && name != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not supported: must be otlp or none", name)
	}
	name, protocol := "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", v.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		name, protocol = "OTEL_EXPORTER_OTLP_PROTOCOL", v.get("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	}
	return nil, fmt.Errorf("%s: %q is not supported: must be http/protobuf or grpc", name, protocol)
}

// quietFor is how long after a failed export further ones are not logged.
const quietFor = time.Minute

// quiet logs what goes wrong with the export, once a minute.
func quiet(log zerolog.Logger) func(error) {
	log = log.Sample(&zerolog.BurstSampler{Burst: 1, Period: quietFor})
	return func(err error) { log.Warn().Err(err).Msg("traces are not exported") }
}

// flushTime bounds how long the end of a process waits for its last spans.
const flushTime = 3 * time.Second

// Close exports what is left, for a few seconds at most.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}
