package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"pelton/internal/faultyllm"
)

// mockFlags are the knobs of the mock upstream that a run shares with `pelton mock`.
type mockFlags struct {
	Latency time.Duration   `group:"mock" placeholder:"D" help:"Time before an answer."`
	Jitter  time.Duration   `group:"mock" placeholder:"D" help:"Spread around the latency."`
	Errors  faultyllm.Rates `group:"mock" placeholder:"FAULT=SHARE,…" help:"Faults and their share of calls, like rate_limit=0.05,reset=0.01,500=0.02."`
	Seed    uint64          `group:"mock" placeholder:"N" help:"Which calls fail: the same seed, the same calls."`
	Answer  string          `group:"mock" placeholder:"TEXT" help:"Text of every answer, in the place of the echo."`
}

func (f *mockFlags) config() faultyllm.Config {
	return faultyllm.Config{Latency: f.Latency, Jitter: f.Jitter, Faults: f.Errors, Seed: f.Seed, Answer: f.Answer}
}

type mockCmd struct {
	Addr string `default:"127.0.0.1:8089" placeholder:"HOST:PORT" help:"Where to listen; port 0: any that is free (${default})."`
	mockFlags
	Dist        string        `placeholder:"NAME" help:"Distribution of the latency: fixed, uniform, exp or lognormal."`
	RateLimit   int           `placeholder:"N" help:"Calls let in within a window; those over it get a 429."`
	RateWindow  time.Duration `placeholder:"D" help:"The window of the rate limit (1m)."`
	MaxParallel int           `placeholder:"N" help:"Calls served at a time; those over it get a 429."`
	RetryAfter  time.Duration `placeholder:"D" help:"What answers of status 429 and 503 ask the client to wait."`
	RetryForm   string        `name:"retry-after-form" placeholder:"FORM" help:"How that is written: seconds, ms or date."`
	Models      []string      `placeholder:"NAME,…" help:"Models served; others get a 404. All, when none is named."`
	APIKey      string        `name:"api-key" placeholder:"KEY" help:"Key to ask for; none when empty."`
	EchoRunes   int           `placeholder:"N" help:"Characters of the message that the echo repeats (200; -1: all)."`
	Dimensions  int           `placeholder:"N" help:"Length of embedding vectors (8)."`
	Tokens      float64       `name:"tokens-per-second" placeholder:"N" help:"Pace of a stream once it began."`
	SlowBytes   float64       `name:"slow-bytes-per-second" placeholder:"N" help:"Pace of answers that meet the fault slow (100)."`
	MaxBody     int64         `name:"max-body-bytes" placeholder:"N" help:"Largest request body; larger ones get a 413."`
	Outage      bool          `help:"Refuse every call."`
	OutageFrom  time.Duration `placeholder:"D" help:"Begin of an outage, from the start."`
	OutageTo    time.Duration `placeholder:"D" help:"Its end."`
	OutageFault string        `placeholder:"FAULT" help:"How calls fail in an outage (unavailable)."`
	Knobs       string        `placeholder:"FILE" help:"JSON file with knobs as PUT /mock/config takes them; flags go over it."`
	KeepBodies  int           `placeholder:"N" help:"Request bodies that /mock/bodies remembers."`
	KeepCalls   int           `placeholder:"N" help:"Calls that /mock/calls remembers."`
	URLFile     string        `name:"url-file" placeholder:"FILE" help:"Write the base URL there once calls are taken."`
}

func (mockCmd) Help() string {
	return `Answers chat completions, completions, responses, embeddings, moderations and models as OpenAI does, and messages as Anthropic does, under /v1; Google's generateContent, Amazon Bedrock's Converse and Cohere's chat where those have them. Fails on demand. Prints its base URL; GET /mock/stats counts what it was asked. For tests and demonstrations only.

Example:

	pelton mock --latency 200ms --errors rate_limit=0.1,reset=0.01
	OPENAI_BASE_URL=http://127.0.0.1:8089/v1 pelton run prompts.jsonl`
}

func (c *mockCmd) Run(a *app) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	server, err := faultyllm.New(cfg)
	if err != nil {
		return usage(err)
	}
	if err := server.Start(c.Addr); err != nil {
		return setup(err)
	}
	defer server.Close()
	if _, err := fmt.Fprintln(a.stdout, server.URL()); err != nil {
		return err
	}
	if err := writeURLFile(c.URLFile, server.URL()); err != nil {
		return setup(err)
	}
	<-a.soft.Done()
	stats := server.Stats()
	a.say("mock: %d calls", stats.Calls)
	return nil
}

// config puts the flags over the knobs of the file.
func (c *mockCmd) config() (faultyllm.Config, error) {
	cfg := faultyllm.Config{}
	if c.Knobs != "" {
		data, err := os.ReadFile(c.Knobs)
		if err != nil {
			return cfg, usage(err)
		}
		if err := json.Unmarshal(data, &cfg); err != nil {
			return cfg, usagef("%s: %w", c.Knobs, err)
		}
	}
	own := c.mockFlags.config()
	over(&cfg.Latency, own.Latency)
	over(&cfg.Jitter, own.Jitter)
	over(&cfg.Seed, own.Seed)
	over(&cfg.Answer, own.Answer)
	over(&cfg.LatencyDist, faultyllm.LatencyDist(c.Dist))
	over(&cfg.RateLimit, c.RateLimit)
	over(&cfg.RateWindow, c.RateWindow)
	over(&cfg.MaxParallel, c.MaxParallel)
	over(&cfg.RetryAfter, c.RetryAfter)
	over(&cfg.RetryAfterForm, faultyllm.RetryAfterForm(c.RetryForm))
	over(&cfg.APIKey, c.APIKey)
	over(&cfg.EchoRunes, c.EchoRunes)
	over(&cfg.Dimensions, c.Dimensions)
	over(&cfg.TokensPerSecond, c.Tokens)
	over(&cfg.SlowBytesPerSecond, c.SlowBytes)
	over(&cfg.MaxBodyBytes, c.MaxBody)
	over(&cfg.Outage, c.Outage)
	over(&cfg.OutageFrom, c.OutageFrom)
	over(&cfg.OutageTo, c.OutageTo)
	over(&cfg.OutageFault, faultyllm.Fault(c.OutageFault))
	over(&cfg.KeepBodies, c.KeepBodies)
	over(&cfg.KeepCalls, c.KeepCalls)
	if len(c.Models) > 0 {
		cfg.Models = c.Models
	}
	if len(own.Faults) > 0 {
		cfg.Faults = own.Faults
	}
	return cfg, nil
}

// over sets what a flag gave.
func over[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}
