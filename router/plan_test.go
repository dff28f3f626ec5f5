package router

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pelton/schema"
)

var tooLong = errorBody(400, `{"error":{"code":"context_length_exceeded","message":"too long"}}`)
var filtered = errorBody(400, `{"error":{"code":"content_policy_violation","message":"no"}}`)

// Each line is a plan: which groups a request goes through, and how it ends.
func TestPlan(t *testing.T) {
	zero := new(time.Duration)
	three := []Deployment{at("a", "a"), at("b", "b"), at("c", "c")}
	for _, tt := range []struct {
		name    string
		cfg     Config
		answers map[string]respond
		went    string
		class   schema.Class // of the error; empty: success
	}{
		{
			name: "retries, then the fallbacks in order, each with its own retries",
			cfg:  Config{NumRetries: ptr(1), Fallbacks: map[string][]string{"a": {"b", "c"}}},
			answers: map[string]respond{
				"a": status(500), "b": status(500), "c": status(200),
			}, went: "a a b b c",
		},
		{
			name: "without fallbacks", cfg: Config{NumRetries: ptr(1)},
			answers: map[string]respond{"a": status(500)}, went: "a a", class: schema.ClassTransient,
		},
		{
			name:    "no retries",
			cfg:     Config{NumRetries: ptr(0), Fallbacks: map[string][]string{"a": {"b"}}},
			answers: map[string]respond{"a": status(500), "b": status(200)}, went: "a b",
		},
		{
			name:    "6498, 7091, 19985: a loop of fallbacks is walked once",
			cfg:     Config{NumRetries: ptr(0), Fallbacks: map[string][]string{"a": {"b", "a"}, "b": {"a", "c"}, "c": {"b"}}},
			answers: map[string]respond{"a": status(500), "b": status(500), "c": status(500)}, went: "a b c", class: schema.ClassTransient,
		},
		{
			name:    "default fallbacks for who has none",
			cfg:     Config{NumRetries: ptr(0), Fallbacks: map[string][]string{"b": {"a"}}, DefaultFallbacks: []string{"c"}},
			answers: map[string]respond{"a": status(500), "c": status(200)}, went: "a c",
		},
		{
			name:    "the key * is the same",
			cfg:     Config{NumRetries: ptr(0), Fallbacks: map[string][]string{"*": {"c"}}},
			answers: map[string]respond{"a": status(500), "c": status(200)}, went: "a c",
		},
		{
			name:    "a fatal error falls back at once",
			cfg:     Config{NumRetries: ptr(5), Fallbacks: map[string][]string{"a": {"b"}}},
			answers: map[string]respond{"a": status(401), "b": status(200)}, went: "a b",
		},
		{
			name:    "an upstream that asks to wait falls back at once",
			cfg:     Config{Fallbacks: map[string][]string{"a": {"b"}}},
			answers: map[string]respond{"a": status(429, "Retry-After", "60"), "b": status(200)}, went: "a b",
		},
		{
			name: "what is wrong with the request is final without a fallback", cfg: Config{},
			answers: map[string]respond{"a": status(400)}, went: "a", class: schema.ClassRequestFatal,
		},
		{
			name:    "what is wrong with the request may be right for another model",
			cfg:     Config{Fallbacks: map[string][]string{"a": {"b", "c"}}},
			answers: map[string]respond{"a": status(400), "b": status(422), "c": status(200)}, went: "a b c",
		},
		{
			name:    "too long: to the general fallbacks without a list of its own",
			cfg:     Config{Fallbacks: map[string][]string{"a": {"b"}}},
			answers: map[string]respond{"a": tooLong, "b": status(200)}, went: "a b",
		},
		{
			name:    "refused for its content: to the default fallbacks without a list of its own",
			cfg:     Config{DefaultFallbacks: []string{"b"}},
			answers: map[string]respond{"a": filtered, "b": status(200)}, went: "a b",
		},
		{
			name:    "too long: to the default fallbacks",
			cfg:     Config{DefaultFallbacks: []string{"b", "c"}},
			answers: map[string]respond{"a": tooLong, "b": tooLong, "c": status(200)}, went: "a b c",
		},
		{
			name:    "a bound on attempts holds for refusals",
			cfg:     Config{DefaultFallbacks: []string{"b", "c"}, MaxAttempts: 2},
			answers: map[string]respond{"a": tooLong, "b": status(400), "c": status(200)}, went: "a b", class: schema.ClassRequestFatal,
		},
		{
			name:    "too long: only to its list",
			cfg:     Config{Fallbacks: map[string][]string{"a": {"b"}}, ContextWindowFallbacks: map[string][]string{"a": {"c"}}},
			answers: map[string]respond{"a": tooLong, "b": status(200), "c": status(200)}, went: "a c",
		},
		{
			name:    "too long there too",
			cfg:     Config{ContextWindowFallbacks: map[string][]string{"a": {"b"}, "b": {"c", "a"}}},
			answers: map[string]respond{"a": tooLong, "b": tooLong, "c": tooLong}, went: "a b c", class: schema.ClassContextWindow,
		},
		{
			name:    "refused for its content: only to its list",
			cfg:     Config{Fallbacks: map[string][]string{"a": {"b"}}, ContentPolicyFallbacks: map[string][]string{"a": {"c"}}},
			answers: map[string]respond{"a": filtered, "c": status(200)}, went: "a c",
		},
		{
			name:    "policy: kind beats number",
			cfg:     Config{NumRetries: ptr(1), RetryPolicy: PerFailure{InternalServer: ptr(3)}},
			answers: map[string]respond{"a": status(500)}, went: "a a a a", class: schema.ClassTransient,
		},
		{
			name:    "policy: zero is a value",
			cfg:     Config{NumRetries: ptr(5), RetryPolicy: PerFailure{InternalServer: ptr(0)}, Fallbacks: map[string][]string{"a": {"b"}}},
			answers: map[string]respond{"a": status(500), "b": status(200)}, went: "a b",
		},
		{
			name: "policy of the group beats the general one",
			cfg: Config{
				RetryPolicy: PerFailure{InternalServer: ptr(0)}, GroupRetryPolicy: map[string]PerFailure{"b": {InternalServer: ptr(1)}},
				Fallbacks: map[string][]string{"a": {"b"}},
			},
			answers: map[string]respond{"a": status(500), "b": status(500)}, went: "a b b", class: schema.ClassTransient,
		},
		{
			name:    "policy for rate limits without a time",
			cfg:     Config{RetryPolicy: PerFailure{RateLimit: ptr(4)}},
			answers: map[string]respond{"a": status(429)}, went: "a a a a a", class: schema.ClassRateLimited,
		},
		{
			name:    "policy that wants refusals retried",
			cfg:     Config{RetryPolicy: PerFailure{ContentPolicy: ptr(2), BadRequest: ptr(1)}, ContentPolicyFallbacks: map[string][]string{"a": {"b"}}},
			answers: map[string]respond{"a": filtered, "b": status(400)}, went: "a a a b b", class: schema.ClassRequestFatal,
		},
		{
			name:    "a bound over all groups",
			cfg:     Config{NumRetries: ptr(2), MaxAttempts: 4, Fallbacks: map[string][]string{"a": {"b", "c"}}},
			answers: map[string]respond{"a": status(500), "b": status(500)}, went: "a a a b", class: schema.ClassTransient,
		},
		{
			name:    "an alias of a fallback",
			cfg:     Config{NumRetries: ptr(0), Aliases: map[string]string{"cheap": "c"}, Fallbacks: map[string][]string{"a": {"cheap"}}},
			answers: map[string]respond{"a": status(500), "c": status(200)}, went: "a c",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Deployments, tt.cfg.CooldownTime = three, zero
			inWorld(t, tt.cfg, tt.answers, func(t *testing.T, r *Router, w *world) {
				out := r.Do(background, waiting(chat("a")))
				wantConsistent(t, out)
				if w.went() != tt.went {
					t.Errorf("went to %s, want %s", w.went(), tt.went)
				}
				if tt.class == "" && out.Error != nil || tt.class != "" && (out.Error == nil || out.Error.Class != tt.class) {
					t.Errorf("%v, want %q", out.Error, tt.class)
				}
			})
		})
	}
}

func TestAlias(t *testing.T) {
	cfg := Config{Deployments: []Deployment{at("a", "a")}, Aliases: map[string]string{"gpt-4": "a"}}
	inWorld(t, cfg, map[string]respond{"a": status(200)}, func(t *testing.T, r *Router, w *world) {
		if out := r.Do(background, chat("gpt-4")); out.Error != nil || out.Attempts[0].Model != "m" {
			t.Errorf("%+v", out)
		}
	})
	if _, err := New(&Config{Deployments: []Deployment{at("a", "a")}, Aliases: map[string]string{"x": "nowhere"}}); err == nil || !strings.Contains(err.Error(), `no model group "nowhere"`) {
		t.Error(err)
	}
	if _, err := New(&Config{Deployments: []Deployment{at("a", "a")}, Fallbacks: map[string][]string{"a": {"nowhere"}}}); err == nil || !strings.Contains(err.Error(), `fallbacks of "a"`) {
		t.Error(err)
	}
}

// A group at its limits is waited for as long as a call takes, and longer where its
// fallback is not to be used for that, or there is none.
func TestLimitsSpillOver(t *testing.T) {
	parallel, rpm := func(d *Deployment) { d.MaxParallel = 1 }, func(d *Deployment) { d.RPM = 2 }
	for name, tt := range map[string]struct {
		limit func(*Deployment)
		cfg   Config
		went  string
	}{
		"calls at once":              {parallel, Config{Fallbacks: map[string][]string{"a": {"b"}}}, "a a b b b"},
		"calls at once, waiting":     {parallel, Config{Fallbacks: map[string][]string{"a": {"b"}}, WaitAtLimits: true}, "a a a a a"},
		"calls at once, no fallback": {parallel, Config{}, "a a a a a"},
		"a rate":                     {rpm, Config{DefaultFallbacks: []string{"b"}}, "a a b b b"},
		"a rate, waiting":            {rpm, Config{DefaultFallbacks: []string{"b"}, WaitAtLimits: true}, "a a a a a"},
	} {
		tt.cfg.Deployments = []Deployment{at("a", "a", tt.limit), at("b", "b")}
		inWorld(t, tt.cfg, map[string]respond{"a": after(500*time.Millisecond, status(200)), "b": status(200)}, func(t *testing.T, r *Router, w *world) {
			req := waiting(chat("a"))
			for _, out := range doAll(r, 5, req) {
				if out.Error != nil {
					t.Error(name, out.Error)
				}
			}
			went := strings.Fields(w.went())
			slices.Sort(went)
			if got := strings.Join(went, " "); got != tt.went {
				t.Errorf("%s: went to %s, want %s", name, got, tt.went)
			}
		})
	}
}

// A group that cools down is not waited for while a fallback can take it, and
// taken again when it is back.
func TestCoolingFallsBack(t *testing.T) {
	cfg := Config{
		Deployments: []Deployment{at("a", "a"), at("b", "b")},
		Fallbacks:   map[string][]string{"a": {"b"}},
	}
	inWorld(t, cfg, map[string]respond{"a": status(429, "Retry-After", "10"), "b": status(200)}, func(t *testing.T, r *Router, w *world) {
		for range 3 {
			r.Do(background, chat("a"))
		}
		pass(10 * time.Second)
		w.set("a", status(200))
		r.Do(background, chat("a"))
		if w.went() != "a b b b a" {
			t.Errorf("went to %s", w.went())
		}
	})
}

// Attempts made before a request was parked count as if they had been made now.
func TestEarlierAttemptsCount(t *testing.T) {
	failure := func(d string, class schema.Class) schema.Attempt {
		return schema.Attempt{Deployment: d, Error: &schema.Error{Class: class, Message: "x"}, Usage: &schema.Usage{TotalTokens: 1}}
	}
	three := []Deployment{at("a", "a"), at("a2", "a"), at("b", "b")}
	cfg := Config{Deployments: three, NumRetries: ptr(1), CooldownTime: new(time.Duration), Fallbacks: map[string][]string{"a": {"b"}}}
	for _, tt := range []struct {
		name    string
		earlier []schema.Attempt
		want    string // where it goes now
	}{
		{"none", nil, "a a2 b b"},
		{"one", []schema.Attempt{failure("a", schema.ClassTransient)}, "a2 b b"},
		{"two", []schema.Attempt{failure("a2", schema.ClassTransient), failure("a", schema.ClassTransient)}, "b b"},
		{"one of the fallback", []schema.Attempt{failure("a", schema.ClassTransient), failure("a", schema.ClassTransient), failure("b", schema.ClassTransient)}, "b"},
		{"all", []schema.Attempt{failure("a", schema.ClassTransient), failure("a", schema.ClassTransient), failure("b", schema.ClassTransient), failure("b", schema.ClassTransient)}, ""},
		{"rate limits do not count", []schema.Attempt{failure("a", schema.ClassRateLimited), failure("a", schema.ClassRateLimited)}, "a2 a b b"},
		{"who is out is not asked", []schema.Attempt{failure("a", schema.ClassUpstreamFatal)}, "a2 b b"},
		{"of a configuration that is no more", []schema.Attempt{failure("gone", schema.ClassTransient)}, "a a2 b b"},
	} {
		inWorld(t, cfg, map[string]respond{"a": status(500), "a2": status(500), "b": status(500)}, func(t *testing.T, r *Router, w *world) {
			req := waiting(chat("a"))
			req.Earlier = tt.earlier
			out := r.Do(background, req)
			wantConsistent(t, out)
			if w.went() != tt.want || len(out.Attempts) != len(tt.earlier)+len(w.calls) || out.Error == nil {
				t.Errorf("%s: went to %q, want %q: %d attempts, %v", tt.name, w.went(), tt.want, len(out.Attempts), out.Error)
			}
			if n := int64(len(tt.earlier)); n > 0 && (out.Usage == nil || out.Usage.TotalTokens != n) {
				t.Errorf("%s: usage %+v", tt.name, out.Usage)
			}
		})
	}
}

func TestMaxInputTokens(t *testing.T) {
	long := Request{Body: []byte(`{"model":"g","messages":[{"role":"user","content":"` + strings.Repeat("many words ", 300) + `"}]}`)}
	small := func(d *Deployment) { d.MaxInputTokens = 100 }
	answers := map[string]respond{"small": status(200), "large": status(200)}
	inWorld(t, Config{Deployments: []Deployment{at("small", "g", small), at("large", "g")}}, answers, func(t *testing.T, r *Router, w *world) {
		r.Do(background, long)
		r.Do(background, g)
		if w.went() != "large small" {
			t.Errorf("went to %s", w.went())
		}
	})
	cfg := Config{Deployments: []Deployment{at("small", "g", small), at("large", "h")}}
	inWorld(t, cfg, answers, func(t *testing.T, r *Router, w *world) {
		out := r.Do(background, long)
		wantConsistent(t, out)
		if w.went() != "" || out.Error.Class != schema.ClassContextWindow || out.Error.Code != codeContext {
			t.Errorf("went to %s: %v", w.went(), out.Error)
		}
	})
	cfg.ContextWindowFallbacks = map[string][]string{"g": {"h"}}
	inWorld(t, cfg, answers, func(t *testing.T, r *Router, w *world) {
		if out := r.Do(background, long); out.Error != nil || w.went() != "large" {
			t.Errorf("went to %s: %v", w.went(), out.Error)
		}
	})
}

// A model that nobody has, a group that nobody can serve, and an id.
func TestPlanOfOtherNames(t *testing.T) {
	cfg := Config{
		Deployments: []Deployment{at("a", "a"), at("b", "b"), at("b2", "b"), at("same", "same", func(d *Deployment) { d.BaseURL = "http://a/v1" })},
		Unserved:    map[string]string{"broken": "line 7: no key", "broken-too": "line 9: no key", "b": "one of it"},
		Fallbacks:   map[string][]string{"unknown": {"a"}, "broken": {"b2"}, "a": {"same"}}, DefaultFallbacks: nil,
		NumRetries: ptr(0), CooldownTime: new(time.Duration),
	}
	answers := map[string]respond{"a": status(400), "b": status(200), "b2": status(200)}
	for model, want := range map[string]string{
		"unknown": "a", "nobody": "", "broken": "b2", "broken-too": "", "b2": "b2", "a": "a", // the same model by another name is not asked again
	} {
		inWorld(t, cfg, answers, func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, chat(model))
			if w.went() != want {
				t.Errorf("%s: went to %q, want %q", model, w.went(), want)
			}
			switch model {
			case "broken-too":
				if e := out.Error; e == nil || e.Class != schema.ClassUpstreamFatal || e.Code != schema.CodeNoDeployment || !strings.Contains(e.Message, "line 9: no key") {
					t.Error(out.Error)
				}
			case "nobody":
				if e := out.Error; e == nil || e.Class != schema.ClassRequestFatal || e.Code != codeNoModel || strings.Contains(e.Message, "broken") {
					t.Error(out.Error)
				}
			}
		})
	}
	cfg.DefaultFallbacks = []string{"b2"}
	inWorld(t, cfg, answers, func(t *testing.T, r *Router, w *world) {
		if out := r.Do(background, chat("nobody")); out.Error != nil || w.went() != "b2" {
			t.Errorf("went to %q: %v", w.went(), out.Error)
		}
	})
}
