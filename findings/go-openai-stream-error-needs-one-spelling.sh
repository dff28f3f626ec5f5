#!/usr/bin/env bash
# go-openai v1.43.0 (github.com/sashabaranov/go-openai): an error inside a stream is seen in one
# spelling of the JSON only.
#
# Expected: the error in each case: a blank after the brace, or another key before "error", are
# the same JSON object.
#
# Seen: the event is recognised by the bytes data: {"error":. In any other spelling it is a
# chunk without choices, and the stream ends with io.EOF like a whole one.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	openai "github.com/sashabaranov/go-openai"
)

const piece = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Half"},"finish_reason":null}]}` + "\n\n"

func main() {
	var event string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, piece, "data: ", event, "\n\n")
	}))
	defer server.Close()
	config := openai.DefaultConfig("k")
	config.BaseURL = server.URL
	client := openai.NewClientWithConfig(config)

	var ended []bool
	for _, event = range []string{
		`{"error":{"message":"overloaded"}}`,
		`{ "error": {"message": "overloaded"}}`,
		`{"object":"error","error":{"message":"overloaded"}}`,
	} {
		stream, err := client.CreateChatCompletionStream(context.Background(), openai.ChatCompletionRequest{Model: "m"})
		for err == nil {
			_, err = stream.Recv()
		}
		fmt.Printf("%-52s ends with: %v\n", event, err)
		ended = append(ended, errors.Is(err, io.EOF))
	}
	if ended[0] || !ended[1] || !ended[2] {
		fmt.Println("The behaviour has changed.")
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/sashabaranov/go-openai@v1.43.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
