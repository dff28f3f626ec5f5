#!/usr/bin/env bash
# Polars 2.1.0 (PyPI): read_ndjson drops a key that first comes after line 100.
#
# Expected: a column error, or an error that names the line: read_ndjson raises for a value of
# another type than it inferred. The lines of a batch's results have error only where a request
# failed.
#
# Seen: the schema is inferred from the first 100 lines (infer_schema_length) and later keys are
# left out without a word: the failure in line 121 is not in the frame.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet polars==2.1.0
timeout 90 env/bin/python - <<'PY'

import io
import json

import polars

lines = [{"custom_id": f"r{n}", "response": {"status_code": 200}} for n in range(150)]
lines[120] = {"custom_id": "r120", "response": {"status_code": 0}, "error": {"code": "batch_expired"}}
frame = polars.read_ndjson(io.BytesIO("\n".join(map(json.dumps, lines)).encode()))
print("columns:", frame.columns)
print("line 121:", frame.row(120, named=True))
if frame.columns != ["custom_id", "response"] or frame.height != 150:
    raise SystemExit("The behaviour has changed.")
PY
