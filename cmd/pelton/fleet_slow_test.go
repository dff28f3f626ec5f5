//go:build slow && unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/internal/nats/embednats"
	"pelton/jobs"
	"pelton/schema"
)

// Three worker processes share one deployment of 600 rpm and 20 parallel calls
// for a minute. The upstream never sees more than 20 calls at once, nor more than
// 110 in any 10 seconds (the rate, and a burst of one second of it), and gets at
// least 95 % of what it allows. The same while one is killed and another joins.
func TestFleetHoldsLimitsForAMinute(t *testing.T) {
	// Calls that take long bring the steady fleet to the bound on parallel calls.
	t.Run("steady", func(t *testing.T) { t.Parallel(); holdsLimits(t, 1800*time.Millisecond, false) })
	t.Run("one killed, another joins", func(t *testing.T) { t.Parallel(); holdsLimits(t, 1200*time.Millisecond, true) })
}

func holdsLimits(t *testing.T, latency time.Duration, churn bool) {
	const rpm, parallel, total = 600, 20, 620
	llm, err := faultyllm.New(faultyllm.Config{Latency: latency, KeepTimes: 2 * total})
	if err != nil {
		t.Fatal(err)
	}
	if err := llm.Start(""); err != nil {
		t.Fatal(err)
	}
	defer llm.Close()
	server, err := embednats.Start(embednats.Options{StoreDir: t.TempDir(), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	models := filepath.Join(t.TempDir(), "models.yaml")
	text := fmt.Sprintf(`model_list:
  - model_name: m
    litellm_params: {model: openai/m, api_base: %q, api_key: k, rpm: %d, max_parallel_requests: %d}
    model_info: {id: only}
`, llm.URL(), rpm, parallel)
	if err := os.WriteFile(models, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(name string) *exec.Cmd {
		t.Helper()
		ready := filepath.Join(t.TempDir(), "ready")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asPelton+"=1", "NATS_URL="+server.ClientURL(), "PELTON_CONFIG="+models)
		cmd.Args = []string{"pelton", "worker", "--name", name, "--url-file", ready}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range 2000 {
			if _, err := os.Stat(ready); err == nil {
				return cmd
			}
			<-tick.C
		}
		t.Fatalf("%s does not get ready", name)
		return nil
	}
	workers := []*exec.Cmd{start("one"), start("two"), start("three")}

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	nc, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	client, err := jobs.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	var requests []schema.Request
	for i := range total {
		body, _ := json.Marshal(map[string]any{"model": "m", "messages": []map[string]string{{"role": "user", "content": fmt.Sprint(i)}}})
		requests = append(requests, schema.Request{Body: body})
	}
	h, err := client.Submit(ctx, schema.Job{Requests: requests, Concurrency: 64})
	if err != nil {
		t.Fatal(err)
	}
	if churn {
		if err := llm.Wait(ctx, func(s faultyllm.Stats) bool { return s.Calls >= total/3 }); err != nil {
			t.Fatal(err)
		}
		_ = workers[1].Process.Kill()
		start("four")
	}
	state, err := h.Wait(ctx)
	if err != nil || state.Counts.Succeeded != total {
		t.Fatalf("%+v, %v", state, err)
	}

	if peak := llm.Stats().Peak; peak > parallel {
		t.Errorf("%d calls at once, at most %d are allowed", peak, parallel)
	}
	at := llm.Arrivals()
	slices.SortFunc(at, time.Time.Compare)
	worst := 0
	for i, first := 0, 0; i < len(at); i++ {
		for at[i].Sub(at[first]) >= 10*time.Second {
			first++
		}
		worst = max(worst, i-first+1)
	}
	if worst > rpm/6+rpm/60 {
		t.Errorf("%d calls in 10 s, at most %d are allowed", worst, rpm/6+rpm/60)
	}
	achieved := float64(len(at)-1) / at[len(at)-1].Sub(at[0]).Minutes() / rpm
	t.Logf("peak %d, at most %d in 10 s, %.1f %% of the rate", llm.Stats().Peak, worst, 100*achieved)
	if achieved < 0.95 {
		t.Errorf("%.1f %% of the rate was used", 100*achieved)
	}
}
