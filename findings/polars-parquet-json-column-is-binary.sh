#!/usr/bin/env bash
# Polars 2.1.0 (PyPI): a Parquet column of the logical type JSON is read as Binary.
#
# Expected: String. The Parquet specification (LogicalTypes.md, JSON): the bytes have to be
# valid UTF-8 JSON. DuckDB reads the column as JSON and PyArrow as arrow.json, on the same file.
#
# Seen: Binary: str.json_path_match and the other string methods refuse it, until it is cast.
# The file here is written without an Arrow schema, as writers outside the Arrow family do.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet polars==2.1.0 pyarrow==26.0.1 duckdb==2.0.1
timeout 90 env/bin/python - <<'PY'

import duckdb
import polars
import pyarrow
from pyarrow import parquet

body = pyarrow.array(['{"temperature": 0}'], pyarrow.json_())
parquet.write_table(pyarrow.table({"body": body}), "rows.parquet", store_schema=False)
read = {
    "PyArrow": str(parquet.read_schema("rows.parquet").field("body").type),
    "DuckDB": duckdb.sql("SELECT typeof(body) FROM 'rows.parquet'").fetchall()[0][0],
    "Polars": str(polars.read_parquet("rows.parquet").schema["body"]),
}
print(read)
if read["Polars"] != "Binary" or read["DuckDB"] != "JSON":
    raise SystemExit("The behaviour has changed.")
PY
