package main

import (
	"github.com/rs/zerolog"

	"pelton/internal/config"
	"pelton/internal/telemetry"
	"pelton/worker"
)

// traces begins to export traces where the OTEL_ variables ask for it: nil, and
// nothing to end, where they do not.
func (a *app) traces(cfg *config.Config, log zerolog.Logger) (worker.Tracer, func(), error) {
	t, err := telemetry.Setup(a.hard, a.env, telemetry.Config{Version: buildOf().Version, Worker: cfg.WorkerName, Log: log})
	if err != nil {
		return nil, nil, setup(err)
	}
	if t == nil { // not as a Tracer that holds a nil
		return nil, func() {}, nil
	}
	return t, t.Close, nil
}
