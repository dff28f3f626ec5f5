package web

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Health says whether a worker takes work, and if not, why. It begins with the
// reason "starting". It is safe for concurrent use.
type Health struct {
	mu       sync.Mutex
	state    string // why nothing is taken, whatever the checks say; empty: no such reason
	checks   []check
	reasons  map[string]string // of the last look
	lookedAt time.Time
}

type check struct {
	name string
	run  func(context.Context) error
}

// A look is good for this long, so that who asks often costs the broker nothing;
// and a check that takes longer has failed.
const (
	lookEvery = time.Second
	lookFor   = 2 * time.Second
)

const starting = "starting"

func newHealth() *Health { return &Health{state: starting} }

// Check adds something that has to hold: run returns why it does not.
func (h *Health) Check(name string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, run})
	h.lookedAt = time.Time{}
}

// Serving says that the worker takes work from now on, unless it drains already.
func (h *Health) Serving() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == starting {
		h.state = ""
	}
}

// Draining says that it takes no more, whatever else is said.
func (h *Health) Draining() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = "draining"
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool              `json:"ready"`
	NotReady map[string]string `json:"not_ready,omitempty"` // what, and why
}

// look asks every check, or repeats what they said a moment ago.
func (h *Health) look(ctx context.Context) readiness {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.lookedAt) > lookEvery {
		h.reasons = map[string]string{}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookFor)
		defer cancel()
		for _, c := range h.checks {
			if err := c.run(ctx); err != nil {
				h.reasons[c.name] = err.Error()
			}
		}
		h.lookedAt = time.Now()
	}
	why := maps.Clone(h.reasons)
	if h.state != "" {
		why["worker"] = h.state
	}
	return readiness{Ready: len(why) == 0, NotReady: why}
}

// ServeHTTP answers 200 when work is taken and 503 when not, with the reasons.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := h.look(r.Context())
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, answer)
}

// livez says that the process answers. Whether it can work is /readyz's: a
// restart would not bring back a broker that is away.
func livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who has gone needs no answer
}
