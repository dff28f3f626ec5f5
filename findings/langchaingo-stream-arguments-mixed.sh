#!/usr/bin/env bash
# langchaingo v0.1.14 (github.com/tmc/langchaingo): the streamed arguments of two tool calls end
# up in the second.
#
# Expected: each piece at the call whose index it carries. OpenAI's protocol numbers the pieces
# of parallel calls for that, and servers that generate calls side by side let them alternate.
#
# Seen: pieces go to the call that was opened last: the first keeps no arguments, the second
# gets both texts, which together are no JSON.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

const stream = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"weather","arguments":""}}]}}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"weather","arguments":""}}]}}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Oslo\"}"}}]}}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{\"city\":\"Rome\"}"}}]}}]}

data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

`

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, stream)
	}))
	defer server.Close()
	model, err := openai.New(openai.WithBaseURL(server.URL), openai.WithToken("k"), openai.WithModel("m"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	got, err := model.GenerateContent(context.Background(), []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "Weather?")},
		llms.WithStreamingFunc(func(context.Context, []byte) error { return nil }))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var arguments []string
	for _, call := range got.Choices[0].ToolCalls {
		fmt.Printf("%s: %q\n", call.ID, call.FunctionCall.Arguments)
		arguments = append(arguments, call.FunctionCall.Arguments)
	}
	if len(arguments) != 2 || arguments[0] != "" || arguments[1] != `{"city":"Oslo"}{"city":"Rome"}` {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/tmc/langchaingo/llms/openai@v0.1.14 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
