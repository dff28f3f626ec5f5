#!/usr/bin/env bash
# @asyncapi/parser 3.6.3 (npm): in an AsyncAPI 3 document a payload schema of an unknown format
# passes without a word.
#
# Expected: the warning that the same parser gives for the same schema in a 2.6 document: No
# schema parser registered for "...". JSON Schema draft 2020-12 is such a format, as only draft
# 07 is built in.
#
# Seen: no diagnostic of any kind: "type": "strng" and "minimum": "x" are taken for a valid
# document, while the built-in format refuses them. A CI step that parses the document checks
# nothing of the payloads.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
timeout 300 npm install --silent --no-audit --no-fund @asyncapi/parser@3.6.3 >npm.log 2>&1 || { cat npm.log; exit 1; }
cat >check.mjs <<'JS'
import { Parser } from "@asyncapi/parser";

const schema = { type: "strng", minimum: "x" };
const v2 = (format) => ({
  asyncapi: "2.6.0", info: { title: "t", version: "1" },
  channels: { c: { publish: { message: { schemaFormat: format, payload: schema } } } },
});
const v3 = (format) => ({
  asyncapi: "3.0.0", info: { title: "t", version: "1" },
  channels: { c: { address: "c", messages: { m: { payload: { schemaFormat: format, schema } } } } },
  operations: { o: { action: "send", channel: { $ref: "#/channels/c" } } },
});
async function told(document) {
  const { diagnostics } = await new Parser().parse(JSON.stringify(document));
  return diagnostics.map((d) => d.message).filter((m) => /schema parser|minimum/.test(m))[0] ?? "nothing";
}
const draft = (d) => `application/schema+json;version=${d}`;
const seen = {
  "2.6.0, draft 2020-12": await told(v2(draft("draft-2020-12"))),
  "3.0.0, draft 07": await told(v3(draft("draft-07"))),
  "3.0.0, draft 2020-12": await told(v3(draft("draft-2020-12"))),
};
console.log(seen);
const [old, known, unknown] = Object.values(seen);
const changed = old === "nothing" || known === "nothing" || unknown !== "nothing";
if (changed) console.log("The behaviour has changed.");
process.exit(changed ? 1 : 0);
JS
timeout 60 node check.mjs
