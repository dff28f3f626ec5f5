package gateway

import (
	"testing"

	"github.com/rs/zerolog"

	"pelton/jobs/store"
)

// SweepGone is what a gateway does by itself soon after its start.
func SweepGone(t *testing.T, st *store.Store) {
	t.Helper()
	g := &Gateway{Config: Config{Store: st, Log: zerolog.Nop()}, files: NewFileStore(st)}
	if err := g.sweepGone(t.Context()); err != nil {
		t.Fatal(err)
	}
}
