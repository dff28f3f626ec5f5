#!/usr/bin/env bash
# llama-index-llms-openai 0.8.3 (PyPI): max_retries 3 makes twelve calls.
#
# Expected: four calls at most. The field is described as "The maximum number of API retries."
# and is 3 by default.
#
# Seen: twelve: the number goes to OpenAI's client, which makes 1 + 3 calls, and to a decorator
# around it, which makes three tries of that. A failing upstream, or an account without quota,
# gets twelve times the requests.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet llama-index-llms-openai==0.8.3 llama-index-core==0.14.25
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
    return 500, {"retry-after-ms": "1"}, {"error": {"message": "The server had an error", "type": "server_error"}}


import logging

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

logging.disable()
model = OpenAI(model="gpt-4o", api_key="k", api_base=url)
try:
    model.chat([ChatMessage(content="Hi")])
except Exception as error:
    print(type(error).__name__, "with max_retries", model.max_retries, "after", len(asked), "calls")
if (model.max_retries, len(asked)) != (3, 12):
    raise SystemExit("The behaviour has changed.")
PY
