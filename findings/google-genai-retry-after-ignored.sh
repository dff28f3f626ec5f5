#!/usr/bin/env bash
# google-genai 3.6.1 (PyPI): HttpRetryOptions does not look at what the server says about
# waiting.
#
# Expected: a pause of 5 seconds. The answer says so twice: in a Retry-After header, which RFC
# 9110 10.2.3 defines, and in google.rpc.RetryInfo.retryDelay, which is how Gemini's own 429
# says it.
#
# Seen: the retry comes after the exponential back-off that starts at one second. With a quota
# per minute the attempts are spent inside the closed window.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet google-genai==3.6.1
timeout 90 env/bin/python - <<'PY'
import http.server
import json
import threading
import time

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


def answer(n):
    times.append(time.monotonic())
    if n == 1:
        return 429, {"retry-after": "5"}, {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"}]}}
    return 200, {}, {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}


times = []

from google import genai

types = genai.types
client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=3)))
client.models.generate_content(model="gemini-2.5-flash", contents="Hi")
waited = times[1] - times[0]
print("told to wait 5 s, came back after %.1f s" % waited)
if waited >= 4.5:
    raise SystemExit("The behaviour has changed.")
PY
