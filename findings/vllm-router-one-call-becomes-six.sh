#!/usr/bin/env bash
# vllm-router 0.1.17 (PyPI): a request that the worker asks to send again in 7 s is sent six
# times within a second.
#
# Expected: one call, or a second one after 7 seconds: RFC 9110 10.2.3 says that Retry-After is
# how long to wait before a follow-up request, and there is one worker only.
#
# Seen: six calls with pauses of a tenth of a second, then the last 429 goes to the client,
# whose own retries multiply them. --disable-retries prevents it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet vllm-router==0.1.17
timeout 90 env/bin/python - <<'PY'

import http.server
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


class Worker(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply(200, {}, {"data": [{"id": "m"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.reply(*answer())

    def reply(self, status, headers, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Workers(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass  # the router hung up


worker = Workers(("127.0.0.1", 0), Worker)
threading.Thread(target=worker.serve_forever, daemon=True).start()


def start(*options):
    port = free_port()
    router = subprocess.Popen(
        ["env/bin/vllm-router", "--host", "127.0.0.1", "--port", port, "--prometheus-port", free_port(),
         "--worker-urls", f"http://127.0.0.1:{worker.server_port}", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(150):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
            break
        except OSError:
            time.sleep(0.2)
    return router, f"http://127.0.0.1:{port}/v1/chat/completions"


def post(url):
    request = urllib.request.Request(url, CHAT, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as got:
            return got.status
    except urllib.error.HTTPError as error:
        return error.code


def answer():
    times.append(time.monotonic())
    return 429, {"retry-after": "7"}, {"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}}


times = []
router, url = start()
try:
    status = post(url)
finally:
    router.terminate()
    router.wait(20)
print("told to wait 7 s:", len(times), "calls within %.1f s, then status" % (times[-1] - times[0]), status)
if len(times) != 6 or times[-1] - times[0] > 5 or status != 429:
    raise SystemExit("The behaviour has changed.")
PY
