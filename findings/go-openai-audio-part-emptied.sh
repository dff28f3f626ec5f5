#!/usr/bin/env bash
# go-openai v1.43.0 (github.com/sashabaranov/go-openai): a decoded request loses its audio and
# is sent on without it.
#
# Expected: an error, or the part as it was. The type input_audio is kept, so the part is known
# to be there; proxies decode a request into ChatCompletionRequest and send that on.
#
# Seen: the part goes out as {"type":"input_audio"} with nothing in it, and top_k, which many
# compatible servers take, is left out.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

const body = `{"model":"m","top_k":5,"messages":[{"role":"user","content":[` +
	`{"type":"text","text":"Transcribe."},{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}]}`

func main() {
	var request openai.ChatCompletionRequest
	err := json.Unmarshal([]byte(body), &request)
	again, failed := json.Marshal(request)
	fmt.Println("came in: ", body)
	fmt.Println("goes out:", string(again))
	if err != nil || failed != nil || !strings.Contains(string(again), `{"type":"input_audio"}`) || strings.Contains(string(again), "top_k") {
		fmt.Println("The behaviour has changed.", err, failed)
		os.Exit(1)
	}
}
GO
go mod init finding >go.log 2>&1
timeout 500 go get github.com/sashabaranov/go-openai@v1.43.0 >>go.log 2>&1
timeout 500 go build -o check . >>go.log 2>&1 || { cat go.log; exit 1; }
timeout 60 ./check
