package router

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pelton/schema"
)

// byModel answers by the model that a body asks for.
func byModel(answers map[string]respond) respond {
	return func(req *http.Request) (*http.Response, error) {
		text, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		var body struct{ Model string }
		if err := json.Unmarshal(text, &body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(text))
		if answer := answers[body.Model]; answer != nil {
			return answer(req)
		}
		return status(200)(req)
	}
}

// A gateway is one deployment for many models.
func gateway(change ...func(*Deployment)) []Deployment {
	return []Deployment{at("a", "*", append([]func(*Deployment){func(d *Deployment) { d.Model = "*" }}, change...)...)}
}

// One model's trouble at a deployment that takes many costs the others nothing,
// whether they are asked for before, after or meanwhile.
func TestOneModelsTrouble(t *testing.T) {
	litellm := `{"error":{"message":"litellm.AuthenticationError: OpenAIException - Incorrect API key provided","type":null,"param":null,"code":"401"}}`
	for name, answer := range map[string]respond{
		"a pause":            status(429, "Retry-After", "300"),
		"it fails":           status(500),
		"it is full":         status(429),
		"a key at LiteLLM's": errorBody(401, litellm),
		"a quota behind LiteLLM": errorBody(429, `{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}`,
			"llm_provider-x-request-id", "1"),
		"no money behind LiteLLM": errorBody(402, `{"error":{"message":"Payment Required","code":"402"}}`, "x-litellm-model-id", "1"),
		"a key at Portkey's":      errorBody(401, `{"error":{"message":"openai error: Incorrect API key provided","code":"invalid_api_key"},"provider":"openai"}`),
		"a key at Bifrost's":      errorBody(401, `{"is_bifrost_error":false,"status_code":401,"error":{"message":"Incorrect API key provided","code":"invalid_api_key"},"extra_fields":{"provider":"openai"}}`),
		"a key at OpenRouter's":   errorBody(401, `{"error":{"code":401,"message":"Provider returned error","metadata":{"raw":"bad key","provider_name":"X"}}}`),
		"no such model":           errorBody(404, `{"error":{"message":"The model does not exist","code":"model_not_found"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, Config{Deployments: gateway()}, map[string]respond{"a": byModel(map[string]respond{"bad": answer})}, func(t *testing.T, r *Router, w *world) {
				var all sync.WaitGroup
				bad := chat("bad")
				bad.Timeout = time.Minute
				all.Go(func() { doAll(r, 20, bad) })
				pass(time.Second)
				start := time.Now()
				for _, out := range doAll(r, 40, chat("good")) {
					if out.Error != nil || len(out.Attempts) != 1 {
						t.Fatalf("%v, %d attempts", out.Error, len(out.Attempts))
					}
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v", took)
				}
				all.Wait()
				if s := r.Status()[0]; s.Waiting != 0 || s.InFlight != 0 || !strings.Contains(s.CooldownReason+s.Fatal, "only bad") && s.Fatal+s.CooldownReason != "" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// What stops all models: a key that is the deployment's own, and a server that is
// not there.
func TestAllModelsTrouble(t *testing.T) {
	inWorld(t, Config{Deployments: gateway()}, map[string]respond{"a": status(401)}, func(t *testing.T, r *Router, w *world) {
		r.Do(background, chat("one"))
		if out := r.Do(background, chat("two")); out.Error == nil || out.Error.Code != schema.CodeNoDeployment {
			t.Errorf("%v", out.Error)
		}
	})
	refused := func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }
	inWorld(t, Config{Deployments: gateway(), NumRetries: &retries0}, map[string]respond{"a": refused}, func(t *testing.T, r *Router, w *world) {
		for i := range 40 {
			req := chat(fmt.Sprintf("model-%d", i))
			req.NoPark, req.Timeout = true, time.Second
			r.Do(background, req)
		}
		if n := w.count("a"); n > 10 {
			t.Errorf("%d calls of a server that is not there", n)
		}
		w.set("a", status(200))
		pass(time.Minute)
		for i := range 3 {
			if out := r.Do(background, chat(fmt.Sprintf("model-%d", i))); out.Error != nil {
				t.Error(out.Error)
			}
		}
	})
	// A key that is taken for another model a moment ago is the model's.
	inWorld(t, Config{Deployments: gateway()}, map[string]respond{"a": byModel(map[string]respond{"bad": status(401)})}, func(t *testing.T, r *Router, w *world) {
		for _, model := range []string{"good", "bad", "good"} {
			if out := r.Do(background, chat(model)); (out.Error != nil) != (model == "bad") {
				t.Errorf("%s: %v", model, out.Error)
			}
		}
	})
}

// A model that is left alone is asked for with one call, then by all, in the order
// of arrival; others are not in line with it.
func TestModelComesBack(t *testing.T) {
	inWorld(t, Config{Deployments: gateway(func(d *Deployment) { d.MaxParallel = 4 }), NumRetries: &ten}, map[string]respond{"a": byModel(map[string]respond{"bad": status(503)})}, func(t *testing.T, r *Router, w *world) {
		var all sync.WaitGroup
		outs := make([]Outcome, 12)
		for i := range outs {
			req := chat("bad")
			req.NoPark = true
			all.Go(func() { outs[i] = r.Do(background, req) })
		}
		pass(30 * time.Second)
		before := len(w.at())
		w.set("a", after(time.Second, status(200)))
		start := time.Now()
		for _, out := range doAll(r, 8, chat("good")) {
			if out.Error != nil {
				t.Error(out.Error)
			}
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the others took %v", took)
		}
		all.Wait()
		for _, out := range outs {
			if out.Error != nil {
				t.Error(out.Error)
			}
		}
		if before > 60 {
			t.Errorf("%d calls while it failed", before)
		}
	})
}

// A fallback may be another model of the same deployment.
func TestFallbackWithinAGateway(t *testing.T) {
	cfg := Config{Deployments: gateway(), Fallbacks: map[string][]string{"bad": {"good"}}, NumRetries: &retries0}
	inWorld(t, cfg, map[string]respond{"a": byModel(map[string]respond{"bad": errorBody(404, `{"error":{"message":"The model does not exist","code":"model_not_found"}}`)})}, func(t *testing.T, r *Router, w *world) {
		for range 3 {
			out := r.Do(background, chat("bad"))
			if n := len(out.Attempts); out.Error != nil || out.Attempts[n-1].Model != "good" {
				t.Errorf("%v, %+v", out.Error, out.Attempts)
			}
		}
		if n := len(w.at()); n != 5 { // it takes two to say that a model is not there
			t.Errorf("%d calls", n)
		}
	})
}

// The names of models come from requests: what is remembered of them is bounded.
func TestModelsAreBounded(t *testing.T) {
	inWorld(t, Config{Deployments: gateway(), NumRetries: &retries0}, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
		for i := range 3 * maxOutages {
			r.Do(background, chat(fmt.Sprintf("m%d", i)))
		}
		if n := len(r.deployments[0].models); n > maxOutages {
			t.Errorf("%d are remembered", n)
		}
	})
}

// Other processes hear which model is left alone, and leave no other alone.
func TestModelCooldownIsTold(t *testing.T) {
	var told []Cooldown
	sink := WithCooldownSink(func(c Cooldown) { told = append(told, c) })
	inWorld(t, Config{Deployments: gateway(), NumRetries: &retries0}, map[string]respond{"a": byModel(map[string]respond{"bad": status(429, "Retry-After", "30")})}, func(t *testing.T, r *Router, w *world) {
		bad, good := chat("bad"), chat("good")
		bad.Timeout = time.Second
		r.Do(background, bad)
		if len(told) != 1 || told[0].Model != "bad" || told[0].Fatal {
			t.Fatalf("%+v", told)
		}
		r.ApplyCooldown(Cooldown{Deployment: "a", Model: "heard", Until: time.Now().Add(time.Hour), Reason: "said by others"})
		heard := chat("heard")
		heard.NoPark = true
		if out := r.Do(background, heard); out.Error == nil || !strings.Contains(out.Error.Message, "heard at a cools down: said by others") {
			t.Errorf("%v", out.Error)
		}
		var late *NotReadyError
		if out := r.Do(background, good); out.Error != nil || errors.As(out.Err(), &late) {
			t.Error(out.Error)
		}
	}, sink)
}
