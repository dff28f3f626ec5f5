#!/usr/bin/env bash
# go-openai v1.43.0 (github.com/sashabaranov/go-openai): a body {"error": ...} with status 200
# is a success without choices.
#
# Expected: an APIError, as the same body gives with status 400. LM Studio, gateways and others
# answer so; the client has a type for the body.
#
# Seen: a nil error and a response with no choices. The check of err that each caller makes lets
# it through.
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
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, `{"error":{"message":"model not loaded","type":"invalid_request_error","code":"model_not_found"}}`)
	}))
	defer server.Close()
	config := openai.DefaultConfig("k")
	config.BaseURL = server.URL
	client := openai.NewClientWithConfig(config)
	ask := openai.ChatCompletionRequest{Model: "m", Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "Hi"}}}

	got, silent := client.CreateChatCompletion(context.Background(), ask)
	status = http.StatusBadRequest
	_, told := client.CreateChatCompletion(context.Background(), ask)
	fmt.Printf("status 200: error %v, %d choices\n", silent, len(got.Choices))
	fmt.Printf("status 400: error %v\n", told)
	if silent != nil || len(got.Choices) != 0 || told == nil {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/sashabaranov/go-openai@v1.43.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
