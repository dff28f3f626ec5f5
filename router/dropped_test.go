package router

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pelton/internal/faultyllm"
	"pelton/router/protocol"
	"pelton/schema"
)

const seeded = `{"model":"m","seed":7,"messages":[{"role":"user","content":"Hi"}]}`

// A parameter that one member's server has no place for goes to a member that has,
// and costs nothing; where none has, the request is refused by its name.
func TestUnsupportedPassesOver(t *testing.T) {
	up := llm(t, faultyllm.Config{APIKey: testKey})
	never := llm(t, faultyllm.Config{})
	plain := Deployment{ID: "o", Group: "m", Model: "gpt", BaseURL: up.URL(), APIKey: NewSecret(testKey)}
	zero, one := 0, 1
	r := start(t, &Config{NumRetries: &zero, MaxAttempts: one, Deployments: []Deployment{
		claudeAt("a", "m", never.Root()), claudeAt("b", "m", never.Root()), plain,
	}}, noWait)
	out := r.Do(background, Request{Body: json.RawMessage(seeded)})
	if out.Error != nil || len(out.Attempts) != 3 || out.Attempts[2].Deployment != "o" {
		t.Fatalf("%v %+v", out.Error, out.Attempts)
	}
	for _, a := range out.Attempts[:2] {
		if a.Error.Code != protocol.CodeUnsupported || a.Error.Param != "seed" || a.StatusCode != 0 {
			t.Errorf("%+v", a)
		}
	}
	again := r.Do(background, Request{Body: json.RawMessage(seeded), Earlier: out.Attempts[:2]})
	if again.Error != nil || len(again.Attempts) != 3 {
		t.Errorf("after a wait: %v %+v", again.Error, again.Attempts)
	}
	lone := start(t, &Config{Deployments: []Deployment{claudeAt("a", "m", never.Root()), claudeAt("b", "m", never.Root())}}, noWait)
	out = lone.Do(background, Request{Body: json.RawMessage(seeded)})
	if out.Error == nil || out.Error.Class != schema.ClassRequestFatal || out.Error.Param != "seed" || len(out.Attempts) != 2 {
		t.Errorf("nobody carries it: %v %+v", out.Error, out.Attempts)
	}
	plain.Group = "n"
	fallback := start(t, &Config{Fallbacks: map[string][]string{"m": {"n"}}, Deployments: []Deployment{claudeAt("a", "m", never.Root()), plain}}, noWait)
	if out = fallback.Do(background, Request{Body: json.RawMessage(seeded)}); out.Error != nil || out.Attempts[1].Deployment != "o" {
		t.Errorf("a fallback carries it: %v %+v", out.Error, out.Attempts)
	}
	if n := never.Stats().Calls; n != 0 {
		t.Errorf("%d calls without the parameter", n)
	}
	up.Update(func(c *faultyllm.Config) { c.Faults = faultyllm.Rates{"400": 1} }) // a server's own word is another matter
	if out = r.Do(background, Request{Body: json.RawMessage(seeded)}); out.Error == nil || len(out.Attempts) != 3 {
		t.Errorf("%v %+v", out.Error, out.Attempts)
	}
}

// What drop_params leaves out is told of once, for each deployment and parameter.
func TestDroppedIsToldOnce(t *testing.T) {
	up := llm(t, faultyllm.Config{APIKey: testKey})
	d := claudeAt("a", "m", up.Root())
	d.DropParams = true
	var log bytes.Buffer
	r := start(t, &Config{Deployments: []Deployment{d}}, noWait, WithLogger(zerolog.New(&log).Level(zerolog.InfoLevel)))
	for _, more := range []string{`"seed":7,`, `"seed":8,"logprobs":true,`, `"seed":9,`, ``} {
		out := r.Do(background, Request{Body: json.RawMessage(`{"model":"m",` + more + `"messages":[{"role":"user","content":"Hi"}]}`)})
		if out.Error != nil {
			t.Fatal(out.Error)
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"param":"seed"`) || !strings.Contains(lines[1], `"param":"logprobs"`) || !strings.Contains(lines[0], `"deployment":"a"`) {
		t.Errorf("%s", log.String())
	}
	for name, want := range map[string]string{"tools[12].function.strict": "tools[].function.strict", "seed": "seed", "1a": "1a", "a[3][4].b2": "a[][].b2"} {
		if got := unindexed(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
