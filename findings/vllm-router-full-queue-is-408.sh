#!/usr/bin/env bash
# vllm-router 0.1.17 (PyPI): a request for which there is no place in the queue is answered with
# 408.
#
# Expected: 429, which the router answers with --queue-size 0, as its help says. 408 (RFC 9110
# 15.5.9) means that the server waited too long for the request itself, and --queue-timeout-secs
# is 60.
#
# Seen: 408 with an empty body after about a second, and no 429. Clients that slow down at 429
# do not at 408; the OpenAI SDKs retry it at once.
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
    time.sleep(1)
    return 200, {}, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]}


def five(queue):
    router, url = start("--max-concurrent-requests", "1", "--queue-size", queue)
    got = []
    threads = [threading.Thread(target=lambda: got.append(post(url))) for _ in range(5)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        router.terminate()
        router.wait(20)
    print("five requests, one in work, --queue-size", queue, "->", sorted(got))
    return set(got)


without, with_one = five("0"), five("1")
if 429 not in without or 408 in without or 408 not in with_one or 429 in with_one:
    raise SystemExit("The behaviour has changed.")
PY
