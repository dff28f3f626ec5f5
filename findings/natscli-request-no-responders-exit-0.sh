#!/usr/bin/env bash
# nats CLI v0.5.0 (github.com/nats-io/natscli), nats-server v2.15.2: "nats request" exits 0 when
# nobody answered.
#
# Expected: an exit code other than 0, as for a refused "nats pub --jetstream": the command is
# asked for an answer, and none came. Scripts and health checks go by the exit code.
#
# Seen: exit 0. "No responders are available" goes to standard error, with --raw nothing goes to
# standard output.
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

code=0
out=$(timeout 20 ./nats request nobody.listens hello --raw 2>err </dev/null) || code=$?
echo "exit $code, standard output '$out', standard error: $(cat err)"
[ "$code" = 0 ] && [ -z "$out" ] && grep -q "No responders" err || { echo "The behaviour has changed."; exit 1; }
