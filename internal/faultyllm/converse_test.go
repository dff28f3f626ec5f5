package faultyllm

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

const converseBody = `{"messages":[{"role":"user","content":[{"text":"one"},{"text":" two"}]}]`

func (u *upstream) converse(path, body string, header ...string) reply {
	return u.do(context.Background(), "POST", u.Root()+"/model/"+path, body, header...)
}

// frames are the names and payloads of an event stream.
func frames(t *testing.T, r reply) (names []string, payloads [][]byte) {
	t.Helper()
	equal(t, "type", r.header.Get("Content-Type"), "application/vnd.amazon.eventstream")
	decoder, from := eventstream.NewDecoder(), bytes.NewReader(r.body)
	for {
		m, err := decoder.Decode(from, nil)
		if err == io.EOF {
			return names, payloads
		}
		if err != nil {
			t.Fatal(err)
		}
		name := m.Headers.Get(":event-type")
		if name == nil {
			name = m.Headers.Get(":exception-type")
		}
		names, payloads = append(names, name.String()), append(payloads, bytes.Clone(m.Payload))
	}
}

func TestConverse(t *testing.T) {
	u := start(t, Config{APIKey: "AKID", Models: []string{"amazon.nova:0", "arn:aws:x/y"}, KeepCalls: 9})
	sign := []string{"Authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0"}
	for _, path := range []string{"amazon.nova%3A0", "arn%3Aaws%3Ax%2Fy"} {
		r := u.converse(path+"/converse", converseBody+"}", sign...)
		equal(t, "status", r.status, 200)
		equal(t, "text", pick(t, r.body, "output", "message", "content", 0, "text"), any("You said: one two"))
		equal(t, "stopReason", pick(t, r.body, "stopReason"), any("end_turn"))
		if !strings.HasPrefix(r.header.Get("X-Amzn-Requestid"), "req_") {
			t.Errorf("the call has no id: %v", r.header)
		}
	}
	equal(t, "by a key", u.converse("amazon.nova:0/converse", converseBody+"}", "Authorization", "Bearer AKID").status, 200)
	denied := u.converse("amazon.nova:0/converse", converseBody+"}")
	equal(t, "status without a key", denied.status, 403)
	equal(t, "its name", strings.Split(denied.header.Get("X-Amzn-Errortype"), ":")[0], "UnrecognizedClientException")

	names, payloads := frames(t, u.converse("amazon.nova:0/converse-stream", converseBody+"}", sign...))
	var text strings.Builder
	for i, name := range names {
		if name == "contentBlockDelta" {
			text.WriteString(pick(t, payloads[i], "delta", "text").(string))
		}
	}
	equal(t, "streamed text", text.String(), "You said: one two")
	equal(t, "last event", names[len(names)-1], "metadata")

	const tool = `,"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}}],"toolChoice":{"tool":{"name":"f"}}}}`
	r := u.converse("amazon.nova:0/converse", converseBody+tool, sign...)
	equal(t, "input", pick(t, r.body, "output", "message", "content", 0, "toolUse", "input", "answer"), any("You said: one two"))
	names, payloads = frames(t, u.converse("amazon.nova:0/converse-stream", converseBody+tool, sign...))
	equal(t, "the block's beginning", names[1], "contentBlockStart")
	equal(t, "its tool", pick(t, payloads[1], "start", "toolUse", "name"), any("f"))
	equal(t, "calls", u.Stats().Calls, 7)
}

func TestConverseFails(t *testing.T) {
	u := start(t, Config{})
	for fault, want := range map[Fault]struct {
		status int
		name   string
	}{
		FaultRateLimit: {429, "ThrottlingException"}, FaultOverloaded: {503, "ServiceUnavailableException"}, FaultAuth: {403, "UnrecognizedClientException"},
		FaultContextLength: {400, "ValidationException"}, FaultTimeout: {408, "ModelTimeoutException"}, FaultErrorIn200: {200, "ModelErrorException"},
		"500": {500, "InternalServerException"}, "424": {424, "ModelErrorException"},
	} {
		r := u.converse("m/converse", converseBody+`,"mock":{"fault":"`+string(fault)+`"}}`)
		equal(t, string(fault)+": status", r.status, want.status)
		equal(t, string(fault)+": name", strings.Split(r.header.Get("X-Amzn-Errortype"), ":")[0], want.name)
		if pick(t, r.body, "message") == "" || r.header.Get("Retry-After") != "" {
			t.Errorf("%s: %s %v", fault, r.body, r.header)
		}
	}
	names, _ := frames(t, u.converse("m/converse-stream", converseBody+`,"mock":{"fault":"error_in_200"}}`))
	equal(t, "last event", names[len(names)-1], "modelStreamErrorException")
	names, _ = frames(t, u.converse("m/converse-stream", converseBody+`,"mock":{"fault":"truncated"}}`))
	equal(t, "last event of a cut stream", names[len(names)-1], "contentBlockDelta")
	equal(t, "what a filter stops", pick(t, u.converse("m/converse", converseBody+`,"mock":{"fault":"content_filter"}}`).body, "stopReason"), any("content_filtered"))
	for body, says := range map[string]string{
		`{"messages":[]}`: "must start", `{"messages":[{"role":"system","content":[{"text":"a"}]}]}`: "role",
		`{"messages":[{"role":"user","content":[]}]}`: "empty", converseBody + `,"temperature":1}`: "extraneous key [temperature]",
	} {
		r := u.converse("m/converse", body)
		if message := pick(t, r.body, "message").(string); r.status != 400 || !strings.Contains(message, says) {
			t.Errorf("%s: %d %s", body, r.status, message)
		}
	}
}
