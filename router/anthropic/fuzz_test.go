package anthropic

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pelton/router/protocol"
	"pelton/schema"
)

// FuzzEncode holds that a body becomes JSON or a refusal, whatever is in it.
func FuzzEncode(f *testing.F) {
	for _, test := range requests {
		f.Add(test.body, test.model)
	}
	f.Fuzz(func(t *testing.T, body, name string) {
		if !json.Valid([]byte(body)) {
			return
		}
		for _, drop := range []bool{false, true} {
			p, err := New(protocol.Upstream{Key: "sk-canary", Model: "*", DropParams: drop})
			if err != nil {
				t.Fatal(err)
			}
			c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: name, Body: []byte(body)}
			if err := p.Encode(t.Context(), c); err != nil {
				if e := new(schema.Error); !errors.As(err, &e) || e.Class != schema.ClassRequestFatal {
					t.Fatalf("%v for %s", err, body)
				}
				continue
			}
			if raw, _ := io.ReadAll(c.Req.Body); !json.Valid(raw) {
				t.Fatalf("%s\nbecomes\n%s", body, raw)
			}
		}
	})
}

// FuzzAnswer holds that an answer becomes JSON, or a failure, whole and streamed.
func FuzzAnswer(f *testing.F) {
	f.Add(allWhole)
	f.Add(sse(allEvents))
	f.Add(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		p, c, h := anthropicCall(t)
		whole := p.Decode(c, protocol.Reply{Status: 200, Header: http.Header{}, Body: []byte(body)})
		if !whole.Failed && !json.Valid(whole.Body) {
			t.Fatalf("%s\nbecomes\n%s", body, whole.Body)
		}
		s, _ := p.Stream(c, protocol.Reply{Status: 200, Header: h}, strings.NewReader(body), 1<<20)
		if s == nil {
			return
		}
		for {
			chunk, err := s.Next()
			if err != nil {
				break
			}
			if len(chunk) > 0 && !json.Valid(chunk) {
				t.Fatalf("%s\ngives the chunk\n%s", body, chunk)
			}
		}
		if made := s.Answer(); made.JSON && len(made.Body) > 0 && !json.Valid(made.Body) {
			t.Fatalf("%s\nbecomes\n%s", body, made.Body)
		}
	})
}
