#!/usr/bin/env bash
# @nestjs/microservices 12.1.1 (npm), nats-server v2.15.2: send() takes the acknowledgement of a
# stream for the answer of a service.
#
# Expected: no value until the service answers. An answer of Nest has the id of its request and
# isDisposed; the storing of a message that a stream captures is confirmed on the same reply
# subject, by a JSON object that has neither.
#
# Seen: send() resolves with {"stream": "JOBS", "seq": 1} within milliseconds. The service's
# answer, which comes later, is dropped.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOBIN=$dir
timeout 500 go install github.com/nats-io/nats-server/v2@v2.15.2 2>go.log || { cat go.log; exit 1; }
timeout 300 npm install --silent --no-audit --no-fund @nestjs/microservices@12.1.1 @nestjs/common@12.5.1 @nestjs/core@12.5.1 \
	reflect-metadata@0.2.2 rxjs@7.8.2 @nats-io/transport-node@3.4.0 @nats-io/jetstream@3.4.0 >npm.log 2>&1 || { cat npm.log; exit 1; }
./nats-server -a 127.0.0.1 -p -1 -js -sd store --ports_file_dir . >server.log 2>&1 &
server=$!
trap 'kill $server; rm -rf "$dir"' EXIT
for _ in $(seq 100); do ls ./*.ports >/dev/null 2>&1 && break; sleep 0.1; done
NATS_URL=$(grep -o 'nats://127.0.0.1:[0-9]*' ./*.ports | head -1)
export NATS_URL
cat >check.cjs <<'JS'
require("reflect-metadata");
const { ClientProxyFactory, Transport } = require("@nestjs/microservices");
const { connect } = require("@nats-io/transport-node");
const { jetstreamManager } = require("@nats-io/jetstream");
const { firstValueFrom, toArray } = require("rxjs");

(async () => {
  const nc = await connect({ servers: process.env.NATS_URL });
  await (await jetstreamManager(nc)).streams.add({ name: "JOBS", subjects: ["jobs.>"] });
  nc.subscribe("jobs.sum", { // the service, which thinks for half a second
    callback: (_, message) => setTimeout(() => {
      const { id } = message.json();
      message.respond(JSON.stringify({ id, response: 5, isDisposed: true }));
    }, 500),
  });
  await nc.flush();
  const client = ClientProxyFactory.create({ transport: Transport.NATS, options: { servers: [process.env.NATS_URL] } });
  await client.connect();
  const got = await firstValueFrom(client.send("jobs.sum", [2, 3]));
  console.log("the service answers 5; send() gives", JSON.stringify(got));
  const changed = got?.stream !== "JOBS";
  if (changed) console.log("The behaviour has changed.");
  process.exit(changed ? 1 : 0);
})();
JS
timeout 60 node check.cjs
