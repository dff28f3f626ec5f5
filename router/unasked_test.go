package router

import (
	"strings"
	"testing"

	"pelton/schema"
)

// A server that streams though nobody asked is read as what it says: one call.
func TestUnaskedStream(t *testing.T) {
	const events = `data: {"id":"a","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}` + "\n\n" +
		`data: {"id":"a","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"a","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\ndata: [DONE]\n\n"
	for name, header := range map[string]string{"said so": "text/event-stream", "called JSON": "application/json", "called text": "text/plain; charset=utf-8"} {
		for _, begins := range []string{"", ": ping\n\n", "\n"} {
			inWorld(t, Config{}, map[string]respond{"a": errorBody(200, begins+events, "Content-Type", header)}, func(t *testing.T, r *Router, w *world) {
				out := r.Do(background, g)
				wantConsistent(t, out)
				if out.Error != nil || w.count("a") != 1 || out.Usage == nil || out.Usage.TotalTokens != 5 || !strings.Contains(string(out.Response.Body), `"content":"Hello"`) {
					t.Errorf("%s, %q: %v, %+v", name, begins, out.Error, out.Response)
				}
			})
		}
	}
	// One that breaks off is no answer.
	zero := 0
	cut, _, _ := strings.Cut(events, `,"finish_reason"`)
	inWorld(t, Config{NumRetries: &zero}, map[string]respond{"a": errorBody(200, cut+"}]}\n\n", "Content-Type", "text/event-stream")}, func(t *testing.T, r *Router, w *world) {
		if out := r.Do(background, g); out.Error == nil || out.Error.Class != schema.ClassTransient || out.Error.Code != codeCut {
			t.Errorf("%v", out.Error)
		}
	})
}

// Tool calls whose ids are empty and whose indexes are all 0 are told apart by their
// order, and make valid JSON.
func TestToolCallsWithoutIDs(t *testing.T) {
	call := func(fragment string) string {
		return `data: {"choices":[{"index":0,"delta":{"tool_calls":[` + fragment + `]}}]}` + "\n\n"
	}
	const end = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\ndata: [DONE]\n\n"
	for name, events := range map[string]string{
		"whole": call(`{"index":0,"id":"","type":"function","function":{"name":"a","arguments":"{\"x\":1}"}}`) +
			call(`{"index":0,"id":"","type":"function","function":{"name":"b","arguments":"{\"x\":2}"}}`),
		"the same function": call(`{"index":0,"id":"","function":{"name":"a","arguments":"{\"x\":1}"}}`) + call(`{"index":0,"id":"","function":{"name":"a","arguments":"{\"x\":2}"}}`),
		"in pieces": call(`{"index":0,"function":{"name":"a","arguments":""}}`) + call(`{"index":0,"function":{"arguments":"{\"x\""}}`) + call(`{"index":0,"function":{"arguments":":1}"}}`) +
			call(`{"index":0,"function":{"name":"b","arguments":""}}`) + call(`{"index":0,"function":{"arguments":"{\"x\":"}}`) + call(`{"index":0,"function":{"arguments":"2}"}}`),
		"the name again and again": call(`{"index":0,"function":{"name":"a","arguments":"{\"x\""}}`) + call(`{"index":0,"function":{"name":"a","arguments":":1}"}}`) +
			call(`{"index":0,"function":{"name":"b","arguments":"{\"x\""}}`) + call(`{"index":0,"function":{"name":"b","arguments":":2}"}}`),
	} {
		inWorld(t, Config{}, map[string]respond{"a": errorBody(200, events+end, "Content-Type", "text/event-stream")}, func(t *testing.T, r *Router, w *world) {
			out := r.Do(background, g)
			wantConsistent(t, out)
			if out.Error != nil {
				t.Fatalf("%s: %v", name, out.Error)
			}
			for _, arguments := range []string{`"arguments":"{\"x\":1}"`, `"arguments":"{\"x\":2}"`} {
				if strings.Count(string(out.Response.Body), arguments) != 1 {
					t.Errorf("%s: %s", name, out.Response.Body)
				}
			}
		})
	}
}
