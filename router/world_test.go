package router

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type respond = func(*http.Request) (*http.Response, error)

// world is upstreams in fake time: one per host, each with what it answers.
type world struct {
	mu    sync.Mutex
	start time.Time
	hosts map[string]respond
	calls []hostCall
	busy  map[string]int
	peak  map[string]int
}

type hostCall struct {
	host string
	at   time.Duration
}

func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	w.mu.Lock()
	w.calls = append(w.calls, hostCall{host, time.Since(w.start)})
	w.busy[host]++
	w.peak[host] = max(w.peak[host], w.busy[host])
	answer := w.hosts[host]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.busy[host]--
		w.mu.Unlock()
	}()
	return answer(req)
}

// set changes what a host answers from now on.
func (w *world) set(host string, answer respond) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[host] = answer
}

// went returns the hosts called, in order.
func (w *world) went() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var hosts []string
	for _, c := range w.calls {
		hosts = append(hosts, c.host)
	}
	return strings.Join(hosts, " ")
}

func (w *world) count(host string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.host == host {
			n++
		}
	}
	return n
}

func (w *world) at() (at []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		at = append(at, c.at)
	}
	return at
}

// inWorld runs test in fake time with a deployment in group "g" for each host
// that answers, unless cfg has deployments of its own.
func inWorld(t *testing.T, cfg Config, answers map[string]respond, test func(t *testing.T, r *Router, w *world), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{start: time.Now(), hosts: answers, busy: map[string]int{}, peak: map[string]int{}}
		if cfg.Deployments == nil {
			var hosts []string
			for host := range answers {
				hosts = append(hosts, host)
			}
			slices.Sort(hosts)
			for _, host := range hosts {
				cfg.Deployments = append(cfg.Deployments, at(host, "g"))
			}
		}
		opts = append([]Option{noWait, func(s *settings) { s.transport = w }}, opts...)
		test(t, start(t, &cfg, opts...), w)
	})
}

// at is a deployment of a group at the host of its name.
func at(host, group string, change ...func(*Deployment)) Deployment {
	d := Deployment{ID: host, Group: group, Model: "m", BaseURL: "http://" + host + "/v1"}
	for _, f := range change {
		f(&d)
	}
	return d
}

// after answers as f does, d later.
func after(d time.Duration, f respond) respond {
	return func(req *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return f(req)
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

// body answers with status and text.
func body200(text string) respond {
	return func(*http.Request) (*http.Response, error) { return answerWith(200, nil, text), nil }
}

func errorBody(code int, text string, header ...string) respond {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return func(*http.Request) (*http.Response, error) { return answerWith(code, h, text), nil }
}

// doAll runs n requests at once and returns their outcomes.
func doAll(r *Router, n int, req Request) []Outcome {
	outs := make([]Outcome, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { outs[i] = r.Do(background, req) })
	}
	wg.Wait()
	return outs
}

func ptr[T any](v T) *T { return &v }

var g = chat("g")

// pass lets fake time pass.
func pass(d time.Duration) { <-time.After(d) }
