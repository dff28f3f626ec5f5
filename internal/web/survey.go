package web

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"pelton/router"
	"pelton/schema"
)

// Worker is a worker as it describes itself.
type Worker struct {
	Name        string                    `json:"name"`
	Version     string                    `json:"version"`
	StartedAt   time.Time                 `json:"started_at"`
	Queues      map[string]int            `json:"queues"` // with the caps it was given
	Slots       int                       `json:"slots"`
	Busy        int                       `json:"slots_busy"`
	Draining    bool                      `json:"draining,omitempty"`
	Deployments []router.DeploymentStatus `json:"deployments"`
}

// AnswerSurveys lets others ask how this worker is, until the returned function
// is called.
func AnswerSurveys(nc *nats.Conn, names schema.Names, self func() Worker) (stop func(), err error) {
	own, _ := strings.CutSuffix(names.Jobs("*"), "jobs.*")
	sub, err := nc.Subscribe(names.Workers(), func(m *nats.Msg) {
		// The answer is published with the rights of this process: not on the
		// server's own subjects, and not on Pelton's.
		if m.Reply == "" || strings.HasPrefix(m.Reply, "$") || strings.HasPrefix(m.Reply, own) {
			return
		}
		if data, err := json.Marshal(self()); err == nil {
			_ = m.Respond(data)
		}
	})
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// survey asks all workers how they are.
type survey struct {
	nc    *nats.Conn
	names schema.Names

	mu      sync.Mutex
	workers []Worker
	asked   time.Time
	count   int
}

// What a survey takes: an answer is good for a while, and who has not given one
// by then is not waited for.
const (
	surveyEvery = 2 * time.Second
	surveyFor   = 200 * time.Millisecond
	surveyGrace = 50 * time.Millisecond
	mostWorkers = 1000
)

// Workers returns what the workers said, by name.
func (s *survey) Workers(ctx context.Context) ([]Worker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) < surveyEvery {
		return s.workers, nil
	}
	answers := make(chan *nats.Msg, 256)
	inbox := s.nc.NewRespInbox()
	sub, err := s.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.nc.PublishRequest(s.names.Workers(), inbox, nil); err != nil {
		return nil, err
	}
	s.workers = s.collect(ctx, answers)
	s.asked = time.Now()
	return s.workers, nil
}

// collect takes answers until the time is up, or until all those have come who
// answered last time and a moment has passed in which new ones could. Now and
// then it takes the whole time: a new one may be far away.
func (s *survey) collect(ctx context.Context, answers <-chan *nats.Msg) []Worker {
	missing := map[string]bool{}
	for _, w := range s.workers {
		missing[w.Name] = true
	}
	s.count++
	quick := len(missing) > 0 && s.count%5 != 0
	end := time.After(surveyFor)
	var workers []Worker
	for len(workers) < mostWorkers {
		select {
		case m := <-answers:
			var w Worker
			if json.Unmarshal(m.Data, &w) != nil || w.Name == "" {
				continue
			}
			workers = append(workers, w)
			if delete(missing, w.Name); quick && len(missing) == 0 {
				quick, end = false, time.After(surveyGrace)
			}
			continue
		case <-end:
		case <-ctx.Done():
		}
		break
	}
	slices.SortFunc(workers, func(a, b Worker) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.StartedAt.Compare(b.StartedAt))
	})
	return workers
}

// Deployment is a deployment as all workers see it together.
type Deployment struct {
	router.DeploymentStatus
	Workers int // that know it
}

// merge sums up what the workers say of their deployments, in the order of the
// first. Latency and errors are means over the workers that have seen any.
func merge(workers []Worker) []Deployment {
	var list []*Deployment
	by, seen := map[string]*Deployment{}, map[string]int{}
	for _, w := range workers {
		for _, s := range w.Deployments {
			d := by[s.ID]
			if d == nil {
				d = &Deployment{DeploymentStatus: s}
				d.InFlight, d.Waiting, d.UsedCalls, d.UsedTokens, d.LatencyMs, d.ErrorRate = 0, 0, 0, 0, 0, 0
				by[s.ID], list = d, append(list, d)
			}
			d.Workers++
			d.InFlight += s.InFlight
			d.Waiting += s.Waiting
			d.UsedCalls += s.UsedCalls
			d.UsedTokens += s.UsedTokens
			if s.LatencyMs > 0 || s.ErrorRate > 0 {
				d.LatencyMs += s.LatencyMs
				d.ErrorRate += s.ErrorRate
				seen[s.ID]++
			}
			if s.CooldownUntil.After(d.CooldownUntil) {
				d.CooldownUntil, d.CooldownReason, d.Probing = s.CooldownUntil, s.CooldownReason, s.Probing
			}
			if s.Fatal != "" {
				d.Fatal, d.FatalUntil = s.Fatal, s.FatalUntil
			}
		}
	}
	all := make([]Deployment, len(list))
	for i, d := range list {
		if n := float64(seen[d.ID]); n > 0 {
			d.LatencyMs, d.ErrorRate = d.LatencyMs/n, d.ErrorRate/n
		}
		all[i] = *d
	}
	return all
}
