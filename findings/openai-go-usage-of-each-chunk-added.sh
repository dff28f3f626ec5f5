#!/usr/bin/env bash
# openai-go v3.98.0 (github.com/openai/openai-go/v3): ChatCompletionAccumulator adds up the
# running usage of a stream.
#
# Expected: the last figures: 10 prompt and 3 completion tokens. Servers that send usage with
# each chunk send totals so far (vLLM's stream_options.continuous_usage_stats, and others by
# default).
#
# Seen: 30 prompt and 6 completion tokens: the usage grows with the number of chunks. A long
# answer is counted hundreds of times over.
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

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n, word := range []string{"One", " two", " three"} {
			finish := "null"
			if n == 2 {
				finish = `"stop"`
			}
			fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":%q},"finish_reason":%s}],"usage":{"prompt_tokens":10,"completion_tokens":%d,"total_tokens":%d}}`+"\n\n", word, finish, n+1, n+11)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer server.Close()
	client := openai.NewClient(option.WithBaseURL(server.URL), option.WithAPIKey("k"))
	stream := client.Chat.Completions.NewStreaming(context.Background(), openai.ChatCompletionNewParams{
		Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Count.")},
	})
	var whole openai.ChatCompletionAccumulator
	var last openai.CompletionUsage
	for stream.Next() {
		last = stream.Current().Usage
		whole.AddChunk(stream.Current())
	}
	fmt.Printf("last chunk:  %d prompt, %d completion tokens\n", last.PromptTokens, last.CompletionTokens)
	fmt.Printf("accumulated: %d prompt, %d completion tokens\n", whole.Usage.PromptTokens, whole.Usage.CompletionTokens)
	if stream.Err() != nil || whole.Usage.PromptTokens != 30 || whole.Usage.CompletionTokens != 6 {
		fmt.Println("The behaviour has changed.", stream.Err())
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/openai/openai-go/v3@v3.98.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
