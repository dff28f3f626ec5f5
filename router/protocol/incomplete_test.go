package protocol

import (
	"testing"

	"pelton/schema"
)

func TestIncomplete(t *testing.T) {
	const wants, plain = `{"model":"m","response_format":{"type":"json_schema","json_schema":{}}}`, `{"model":"m","messages":[{"content":"json_schema"}]}`
	for _, tt := range []struct {
		endpoint        schema.Endpoint
		request, answer string
		want            string
	}{
		{"", wants, `{"choices":[{"message":{"content":"{\"a\":"},"finish_reason":"length"}]}`, schema.IncompleteLength},
		{"", plain, `{"choices":[{"message":{"content":"so"},"finish_reason":"length"}]}`, ""},
		{"", wants, `{"choices":[{"message":{"content":"{\"length\":\"length\"}"},"finish_reason":"stop"}]}`, ""},
		{"", plain, `{"choices":[{"message":{"content":"so"},"finish_reason":"content_filter"}]}`, schema.IncompleteFilter},
		{"", plain, `{"choices":[{"message":{"content":"\"content_filter\""},"finish_reason":"stop"}]}`, ""},
		{"", `{"response_format":{"type":"json_object"}}`, `{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}`, schema.IncompleteLength},
		{schema.Responses, `{"text":{"format":{"type":"json_schema"}}}`, `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}`, schema.IncompleteLength},
		{schema.Responses, plain, `{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}`, schema.IncompleteFilter},
		{schema.Responses, plain, `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}`, ""},
	} {
		if got := Incomplete(tt.endpoint, []byte(tt.request), []byte(tt.answer)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.answer, got, tt.want)
		}
	}
}
