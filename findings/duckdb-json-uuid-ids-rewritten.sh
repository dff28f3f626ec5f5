#!/usr/bin/env bash
# DuckDB 2.0.1 (PyPI): read_json turns upper-case UUIDs into lower case.
#
# Expected: the text of the JSON string. An id such as custom_id is opaque and compared as text
# by the batch APIs that echo it.
#
# Seen: strings that all look like UUIDs get the type UUID, which is written in lower case:
# joined as text with the requests, or sent on, none of them matches. A read with
# columns={'custom_id': 'VARCHAR'} keeps them.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet duckdb==2.0.1
timeout 90 env/bin/python - <<'PY'

import json

import duckdb

ids = ["0B5F3A52-6C2D-4C1E-9C59-2F1B1C9E8A01", "7D9E2C11-52AF-4E0B-8B3A-91C4D2A7F602"]
with open("results.jsonl", "w") as file:
    file.writelines(json.dumps({"custom_id": each}) + "\n" for each in ids)
read = duckdb.sql("SELECT typeof(custom_id), custom_id::VARCHAR FROM read_json('results.jsonl')").fetchall()
duckdb.sql("COPY (SELECT * FROM read_json('results.jsonl')) TO 'copy.jsonl' (FORMAT json)")
with open("copy.jsonl") as file:
    copied = [json.loads(line)["custom_id"] for line in file]
print("written:", ids)
print("read:   ", read)
print("copied: ", copied)
if copied != [each.lower() for each in ids]:
    raise SystemExit("The behaviour has changed.")
PY
