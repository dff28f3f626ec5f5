#!/usr/bin/env bash
# PyArrow 26.0.1 (PyPI): read_json rounds an integer above 2^63 to a double.
#
# Expected: uint64, which Arrow has and which holds the number, or an error. The documentation
# promises int64 for numbers, and float64 when one that is no integer is met.
#
# Seen: type double: 18446744073709551557 becomes 1.8446744073709552e+19, and a neighbouring id
# becomes the same value.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet pyarrow==26.0.1
timeout 90 env/bin/python - <<'PY'

import io

from pyarrow import json

table = json.read_json(io.BytesIO(b'{"seed": 18446744073709551557}\n{"seed": 18446744073709551558}\n'))
column = table.column("seed")
print("written: 18446744073709551557, 18446744073709551558")
print("read:   ", column.type, column.to_pylist())
if str(column.type) != "double" or len(set(column.to_pylist())) != 1:
    raise SystemExit("The behaviour has changed.")
PY
