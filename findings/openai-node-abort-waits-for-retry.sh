#!/usr/bin/env bash
# openai 6.49.0 (npm, the newest for Node 20): an abort is not heard while the client waits to
# retry.
#
# Expected: APIUserAbortError at once: the signal of the request's options is for cancelling it,
# and during a call it does so within milliseconds.
#
# Seen: the call rejects when the pause is over, more than 3 s after the abort. With "Retry-
# After: 600", which the client obeys, a cancelled job holds its place for ten minutes.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
timeout 300 npm install --silent --no-audit --no-fund openai@6.49.0 >npm.log 2>&1 || { cat npm.log; exit 1; }
cat >check.mjs <<'JS'
import http from "node:http";
import OpenAI from "openai";

let calls = 0;
const server = http.createServer((request, response) => {
  calls++;
  response.writeHead(429, { "content-type": "application/json", "retry-after": "4" });
  response.end('{"error":{"message":"slow down"}}');
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const client = new OpenAI({ apiKey: "k", baseURL: `http://127.0.0.1:${server.address().port}` });

const abort = new AbortController();
let aborted;
setTimeout(() => { aborted = Date.now(); abort.abort(); }, 500);
let name;
try {
  await client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "Hi" }] }, { signal: abort.signal });
} catch (error) {
  name = error.constructor.name;
}
const late = Date.now() - aborted;
console.log(`${name} ${(late / 1000).toFixed(1)} s after the abort, ${calls} call(s)`);
const changed = late < 2000;
if (changed) console.log("The behaviour has changed.");
process.exit(changed ? 1 : 0);
JS
timeout 60 node check.mjs
