#!/usr/bin/env bash
# Memory, time and disk of a large job beside one of a tenth: through `pelton
# run`, and with NATS server, worker and collector as processes of their own.
# Linux. `make size` runs it; SIZE=100000 makes it quick.
set -euo pipefail
cd "$(dirname "$0")/../../.."

large=${SIZE:-1000000}
small=$((large / 10))
in_flight=256
dir=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  wait 2> /dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

go build -o "$dir/pelton" ./cmd/pelton
go build -o "$dir/nats-server" github.com/nats-io/nats-server/v2
export HOME=$dir NATS_URL= NATS_CONTEXT= OPENAI_API_KEY=x PELTON_LOG_LEVEL=warn

input() { # N FILE
  awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "{\"custom_id\":\"c%d\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Question %d: which town is the largest of the country with the number %d?\"}]}}\n", i, i, i % 200 }' > "$2"
}

peak() { awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$1/status"; } # MiB, of a live process

# watched NAME COMMAND…: runs it, notes its peak memory and how long it took.
watched() {
  local name=$1 began=$SECONDS pid high=0 now
  shift
  "$@" &
  pid=$!
  while now=$(peak $pid 2> /dev/null) && [ -n "$now" ]; do
    high=$now
    sleep 0.05
  done
  wait $pid
  echo "$high" > "$dir/$name.peak"
  echo $((SECONDS - began)) > "$dir/$name.took"
}

start() { # COMMAND…: in the background until the end; its id is in $started
  "$@" &
  started=$!
  pids+=("$started")
}

stop() {
  kill "$1"
  wait "$1" 2> /dev/null || true
}

check() { # FILE N: every index once, in order
  awk -v n="$2" 'match($0, /"index":[0-9]+/) { if (substr($0, RSTART + 8, RLENGTH - 8) + 0 != NR - 1) { print FILENAME ": line " NR " is out of order"; exit 1 } } END { if (NR != n) { print FILENAME ": " NR " lines of " n; exit 1 } }' "$1"
}

upstream() {
  rm -f "$dir/upstream"
  start "$dir/pelton" mock --addr 127.0.0.1:0 > "$dir/upstream" 2> /dev/null
  mock=$started
  until OPENAI_BASE_URL=$(head -1 "$dir/upstream") && [ -n "$OPENAI_BASE_URL" ]; do sleep 0.05; done
  export OPENAI_BASE_URL
}

mib() { du -sm "$1" | cut -f1; }

table="| Requests | Process | Peak memory | Took | Disk |
|---|---|---|---|---|"
row() { table+="
| $1 | $2 | $3 MiB | $4 | $5 |"; }

for n in "$small" "$large"; do
  input "$n" "$dir/in.jsonl"

  upstream
  echo "pelton run, $n requests" >&2
  watched run "$dir/pelton" run "$dir/in.jsonl" -o "$dir/out.jsonl" --overwrite -c $in_flight --progress none 2> "$dir/run.err" || { cat "$dir/run.err" >&2; exit 1; }
  check "$dir/out.jsonl" "$n"
  row "$n" '`pelton run`: server, owner, worker and collector' "$(cat "$dir/run.peak")" "$(cat "$dir/run.took") s" "$(mib "$dir/out.jsonl") MiB of output"
  stop "$mock"

  upstream
  echo "separate processes, $n requests" >&2
  port=$((20000 + RANDOM % 20000))
  # With half the garbage of Go's default, as in the manifests; SERVER_GOGC=100 is that default.
  start env GOGC="${SERVER_GOGC:-50}" "$dir/nats-server" -a 127.0.0.1 -p $port -js -sd "$dir/store" 2> /dev/null
  server=$started
  export NATS_URL=nats://127.0.0.1:$port
  until "$dir/pelton" check > /dev/null 2>&1 || [ -d "$dir/store/jetstream" ]; do sleep 0.2; done
  before=$(peak "$server")
  start "$dir/pelton" worker --queues "default=$in_flight" --url-file "$dir/ready"
  worker=$started
  until [ -s "$dir/ready" ]; do sleep 0.1; done
  watched submit "$dir/pelton" submit "$dir/in.jsonl" --job-id "size-$n" -c $in_flight > /dev/null
  watched results "$dir/pelton" results "size-$n" -o "$dir/out.jsonl" --overwrite
  check "$dir/out.jsonl" "$n"
  row "$n" 'NATS server' "$(peak "$server")" "" "$(mib "$dir/store") MiB of store"
  row "$n" 'worker, which owns the job' "$(peak "$worker")" "" ""
  row "$n" '`pelton submit`' "$(cat "$dir/submit.peak")" "$(cat "$dir/submit.took") s" ""
  row "$n" '`pelton results`, from the start to the end' "$(cat "$dir/results.peak")" "$(cat "$dir/results.took") s" ""
  watched again "$dir/pelton" results "size-$n" -o "$dir/out.jsonl" --overwrite
  row "$n" '`pelton results`, of what is stored' "$(cat "$dir/again.peak")" "$(cat "$dir/again.took") s" ""
  stop "$worker"
  stop "$server"
  stop "$mock"
  export NATS_URL=
  rm -rf "$dir/store" "$dir/ready"
  echo "server: $before MiB before the job" >&2
done
echo "$table"
