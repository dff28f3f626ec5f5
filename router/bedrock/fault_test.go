package bedrock

import (
	"net/http"
	"testing"
	"time"

	"pelton/router/protocol"
	"pelton/schema"
)

// A signature that is refused for its time is made again once, by the server's
// clock.
func TestSignedAgain(t *testing.T) {
	p, err := newProtocol(protocol.Upstream{Model: "m", Settings: map[string]string{
		"aws_region_name": "us-east-1", "aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "s",
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := &protocol.Call{Endpoint: schema.ChatCompletions, Model: "m", Body: []byte(`{"messages":[{"role":"user","content":"Hi"}]}`)}
	for try, ahead := range []time.Duration{time.Hour, 2 * time.Hour} {
		if err := p.Encode(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		reply := protocol.Reply{Status: 403, Header: http.Header{}, Body: []byte(`{"message":"Signature expired"}`)}
		reply.Header.Set("X-Amzn-Errortype", "InvalidSignatureException:http://x/")
		reply.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		if made := p.Decode(c, reply); made.Again != (try == 0) || !made.Failed {
			t.Errorf("try %d: %+v", try, made)
		}
	}
}

// What AWS calls an error counts more than its status, and where the name stands
// does not matter.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, body string
		status     int
		class      schema.Class
		scope      protocol.Scope
	}{
		{"ThrottlingException:", `{"message":"x"}`, 400, schema.ClassRateLimited, 0},
		{"", `{"__type":"com.amazon#ModelNotReadyException","message":"x"}`, 429, schema.ClassRateLimited, 0},
		{"ValidationException", `{"message":"Input is too long for requested model."}`, 400, schema.ClassContextWindow, 0},
		{"ValidationException", `{"message":"x"}`, 400, schema.ClassRequestFatal, 0},
		{"AccessDeniedException", `{"Message":"x"}`, 403, schema.ClassUpstreamFatal, protocol.OneModel},
		{"UnrecognizedClientException", `{"message":"x"}`, 403, schema.ClassUpstreamFatal, protocol.WholeAccount},
		{"ModelErrorException", `{"message":"x"}`, 424, schema.ClassTransient, 0},
		{"ModelTimeoutException", `{"message":"x"}`, 408, schema.ClassTransient, 0},
		{"ServiceUnavailableException", `{"message":"x"}`, 503, schema.ClassTransient, 0},
		{"", `<html><title>Bad gateway</title></html>`, 502, schema.ClassTransient, 0},
	} {
		f := faultOf(test.name, []byte(test.body))
		if got := protocol.ClassOf(test.status, &f); got != test.class || f.Message == "" {
			t.Errorf("%s %s: %s, %+v", test.name, test.body, got, f)
		}
		if test.scope != 0 && protocol.ScopeOf(test.status, &f) != test.scope {
			t.Errorf("%s: scope %v", test.name, protocol.ScopeOf(test.status, &f))
		}
	}
	f := faultOf("ThrottlingException", []byte(`{"message":"Too many tokens per day, please wait"}`))
	if f.After < time.Minute {
		t.Errorf("a day's tokens are asked for again after %v", f.After)
	}
}
