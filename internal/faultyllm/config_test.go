package faultyllm

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestValidateReportsAll(t *testing.T) {
	_, err := New(Config{
		Models: []string{""}, Dimensions: -1, Latency: -1, Jitter: -1, LatencyDist: "odd", RetryAfterForm: "odd",
		RateLimit: -1, OutageFrom: 5, OutageTo: 3, OutageFault: "odd", TokensPerSecond: math.NaN(),
		Faults: Rates{"odd": 0.1, FaultReset: 2},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"models", "dimensions", "latency must", "jitter", `latency_dist "odd"`, `retry_after_form "odd"`, "rate_limit",
		"outage_to", "outage_fault", "tokens_per_second", `faults: unknown fault "odd"`, "share of reset", "more than 1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	for _, d := range []LatencyDist{Fixed, Exponential} {
		if (Config{LatencyDist: d, Jitter: 1}).Validate() == nil {
			t.Errorf("%s takes a jitter", d)
		}
	}
}

func TestConfigJSON(t *testing.T) {
	c := Config{
		Seed: math.MaxUint64, Models: []string{"a"}, Latency: 50 * time.Millisecond, LatencyDist: Exponential,
		Faults: Rates{FaultReset: 0.5}, MaxParallel: 3, Outage: true, OutageTo: time.Minute, EchoRunes: -1,
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "latency", pick(t, data, "latency"), any("50ms"))
	equal(t, "reset", pick(t, data, "faults", "reset"), any(json.Number("0.5")))
	var back Config
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, c) {
		t.Errorf("got %+v, want %+v", back, c)
	}

	shared := back
	if err := json.Unmarshal([]byte(`{"faults":"503=0.1, close=0.2","models":["b"],"jitter":0}`), &back); err != nil {
		t.Fatal(err)
	}
	equal(t, "max_parallel left alone", back.MaxParallel, 3)
	equal(t, "close", back.Faults[FaultClose], 0.2)
	equal(t, "faults", len(back.Faults), 2)
	equal(t, "model of the copy", shared.Models[0], "a")
	equal(t, "faults of the copy", len(shared.Faults), 1)

	err = json.Unmarshal([]byte(`{"b":1,"a":1,"latency":"soon","rate_limit":"x"}`), &back)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`unknown field "a"`, `unknown field "b"`, "latency:", "rate_limit:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestConfigFieldsHaveNames(t *testing.T) {
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Tag.Get("json") == "" {
			t.Errorf("%s has no name in JSON", f.Name)
		}
	}
}

func TestRatesText(t *testing.T) {
	var r Rates
	for _, text := range []string{"reset=0.1,429=0.05", " close = 0.2 ,"} {
		if err := r.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := r.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "text", string(text), "429=0.05,close=0.2,reset=0.1")
	for _, bad := range []string{"reset", "nope=0.1", "reset=x", "399=0.1"} {
		if r.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestUpdateRefusesNonsense(t *testing.T) {
	u := start(t, Config{Models: []string{"m"}})
	if err := u.Update(func(c *Config) { c.Latency = -1; c.Models[0] = "x" }); err == nil {
		t.Error("no error")
	}
	u.ask(chatBody("x"), 200)
}

func TestLifecycle(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "URL before Start", s.URL(), "")
	if err := s.Start("256.0.0.1:0"); err == nil {
		t.Error("started on nonsense")
	}
	if err := s.Start("0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") || !strings.HasSuffix(s.URL(), "/v1") {
		t.Errorf("URL is %s", s.URL())
	}
	if s.Start("") == nil {
		t.Error("started twice")
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if s.Start("") == nil {
		t.Error("started after Close")
	}
	unstarted, _ := New(Config{})
	if err := unstarted.Close(); err != nil {
		t.Error(err)
	}
}
