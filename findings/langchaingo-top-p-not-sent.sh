#!/usr/bin/env bash
# langchaingo v0.1.14 (github.com/tmc/langchaingo): WithTopP has no effect on an OpenAI model.
#
# Expected: "top_p":0.5 in the body, as OpenAI's API has the parameter and the option is
# documented without a restriction; or an error.
#
# Seen: the option is accepted and the body has no top_p, while temperature and stop, set in the
# same call, are there. The answers are sampled otherwise than the program says.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

func main() {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		body = string(sent)
		fmt.Fprint(w, `{"id":"c","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"ok"}}]}`)
	}))
	defer server.Close()
	model, err := openai.New(openai.WithBaseURL(server.URL), openai.WithToken("k"), openai.WithModel("m"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, err = model.GenerateContent(context.Background(), []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "Hi")},
		llms.WithTopP(0.5), llms.WithTemperature(0.7), llms.WithStopWords([]string{"END"}))
	fmt.Println("asked for: top_p 0.5, temperature 0.7, stop END")
	fmt.Println("sent:     ", body)
	if err != nil || strings.Contains(body, "top_p") || !strings.Contains(body, `"temperature":0.7`) {
		fmt.Println("The behaviour has changed.", err)
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/tmc/langchaingo/llms/openai@v0.1.14 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
