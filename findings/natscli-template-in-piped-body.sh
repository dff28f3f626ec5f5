#!/usr/bin/env bash
# nats CLI v0.5.0 (github.com/nats-io/natscli), nats-server v2.15.2: a body that is piped in is
# expanded as a template.
#
# Expected: the bytes of standard input. The help of "nats pub" offers templates "to create
# unique messages"; a file that is piped in is data, and prompts often hold {{ }}.
#
# Seen: {{ Count }}, {{ ID }} and their kin are replaced, without a word, by the command's own
# values. What does not parse as a template goes out as it is, so the same pipe changes some
# files and not others. --no-templates prevents it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
gopath=$(go env GOPATH) gocache=$(go env GOCACHE)
export HOME=$dir GOBIN=$dir GOPATH=$gopath GOCACHE=$gocache # HOME: no context of the user's own
timeout 500 go install github.com/nats-io/natscli/nats@v0.5.0 2>go.log || { cat go.log; exit 1; }
timeout 500 go install github.com/nats-io/nats-server/v2@v2.15.2 2>go.log || { cat go.log; exit 1; }
./nats-server -a 127.0.0.1 -p -1 -js -sd store --ports_file_dir . >server.log 2>&1 &
server=$!
trap 'kill $server; rm -rf "$dir"' EXIT
for _ in $(seq 100); do ls ./*.ports >/dev/null 2>&1 && break; sleep 0.1; done
NATS_URL=$(grep -o 'nats://127.0.0.1:[0-9]*' ./*.ports | head -1)
export NATS_URL

./nats stream add S --subjects 's.>' --defaults </dev/null >/dev/null
prompt='{"prompt":"Explain {{ Count }} in Jinja"}'
other='{"prompt":"Explain {{ user.name }} in Jinja"}'
printf %s "$prompt" | timeout 20 ./nats pub s.a -J >/dev/null 2>&1
printf %s "$other" | timeout 20 ./nats pub s.b -J >/dev/null 2>&1
stored=$(timeout 20 ./nats stream get S 1 --json </dev/null | sed -n 's/.*"data": "\(.*\)".*/\1/p' | base64 -d)
kept=$(timeout 20 ./nats stream get S 2 --json </dev/null | sed -n 's/.*"data": "\(.*\)".*/\1/p' | base64 -d)
echo "piped in: $prompt"
echo "stored:   $stored"
echo "piped in: $other"
echo "stored:   $kept"
[ "$stored" = '{"prompt":"Explain 1 in Jinja"}' ] && [ "$kept" = "$other" ] || { echo "The behaviour has changed."; exit 1; }
