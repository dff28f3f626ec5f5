#!/usr/bin/env bash
# openai 3.57.0 (PyPI): a Retry-After of two minutes and a second means no retry at all.
#
# Expected: a wait as told, or the client's own back-off: README.md, "Retries", promises two
# retries of a 429 by default, and RFC 9110 10.2.3 has no upper bound for the header.
#
# Seen: one call and RateLimitError at once. With "Retry-After: 120" the client waits (not run
# here), with none it backs off; the promise of max_retries ends at a server that asks for more
# patience.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet openai==3.57.0
timeout 90 env/bin/python - <<'PY'
import http.server
import json
import threading

asked = []


class Upstream(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        status, headers, body = answer(len(asked))
        body = body if isinstance(body, str) else json.dumps(body)
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

def answer(_):
    return 429, {"retry-after": HEADER} if HEADER else {}, {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}


import openai

calls = {}
for HEADER in ("", "121"):
    asked.clear()
    try:
        openai.OpenAI(api_key="k", base_url=url, max_retries=2).chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])
    except openai.RateLimitError:
        calls[HEADER] = len(asked)
    print("Retry-After:", HEADER or "none", "->", len(asked), "calls")
if calls != {"": 3, "121": 1}:
    raise SystemExit("The behaviour has changed.")
PY
