#!/usr/bin/env bash
# go-openai v1.43.0 (github.com/sashabaranov/go-openai): a request is refused for the first
# letters of a model's name.
#
# Expected: the request at the server, whose business the parameters are: with BaseURL set the
# client serves any compatible server, and an alias at a proxy may have any name.
#
# Seen: "o1" and "gpt-5" at the start of the name are enough: temperature or max_tokens is
# refused before a call, though nothing is known of the model behind the name.
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

	openai "github.com/sashabaranov/go-openai"
)

func main() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}`)
	}))
	defer server.Close()
	config := openai.DefaultConfig("k")
	config.BaseURL = server.URL
	client := openai.NewClientWithConfig(config)

	refused := 0
	for _, ask := range []openai.ChatCompletionRequest{
		{Model: "llama-4-scout", Temperature: 0.5, MaxTokens: 20},
		{Model: "o1-llama-4-scout", Temperature: 0.5},
		{Model: "gpt-5-replacement-llama", MaxTokens: 20},
	} {
		_, err := client.CreateChatCompletion(context.Background(), ask)
		fmt.Printf("%-24s %v\n", ask.Model, err)
		if err != nil {
			refused++
		}
	}
	fmt.Println("calls at the server:", calls)
	if refused != 2 || calls != 1 {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/sashabaranov/go-openai@v1.43.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
