#!/usr/bin/env bash
# Publishes job.json with the nats CLI and prints its results, then its final
# state: what any NATS client in any language can do.
#
#   pelton worker &
#   examples/nats/submit.sh
set -euo pipefail
cd "$(dirname "$0")"

# A job without an id is named after its place in the stream: j and the sequence
# that the broker acknowledges.
ack=$(nats req pelton.jobs.default --raw < job.json 2> /dev/null)
seq=$(grep -o '"seq":[0-9]*' <<< "$ack" | cut -d: -f2)
job="j$seq"
echo "job $job" >&2

# Two results and the end: what is there first, then what comes.
nats sub "pelton.results.default.$job.>" --stream PELTON_RESULTS --all --raw --count 3 2> /dev/null
