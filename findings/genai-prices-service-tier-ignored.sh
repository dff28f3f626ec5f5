#!/usr/bin/env bash
# genai-prices 0.2.3 (PyPI): an answer of the batch tier is priced like any other.
#
# Expected: half the price, or no price. Anthropic's usage object says service_tier "batch", and
# its price page takes 50 % off both input and output tokens of a batch.
#
# Seen: extract_usage reads the tokens and leaves the tier: the price is that of a standard
# call, twice the bill.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet genai-prices==0.2.3
timeout 90 env/bin/python - <<'PY'

import genai_prices


def price(tier):
    return genai_prices.extract_usage(
        {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1000, "output_tokens": 1000, "service_tier": tier}},
        provider_id="anthropic",
    ).calc_price().total_price


standard, batch = price("standard"), price("batch")
print("standard:", standard, "USD; batch:", batch, "USD")
if batch != standard or not standard:
    raise SystemExit("The behaviour has changed.")
PY
