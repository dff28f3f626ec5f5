#!/usr/bin/env bash
# langchain-core 1.8.3 (PyPI): the usage callback counts the tokens of an answer from the cache.
#
# Expected: 10 input tokens for one call to the API. get_usage_metadata_callback is documented
# for tracking token usage, and the second answer comes from InMemoryCache without a call.
#
# Seen: 20 input tokens: the cached answer brings its old usage along. A cache that works shows
# no saving.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet langchain-openai==1.7.4 langchain-core==1.8.3
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
    return 200, {}, {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, "choices": [{
            "index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]}


from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-4o", api_key="k", base_url=url, cache=InMemoryCache())
with get_usage_metadata_callback() as usage:
    model.invoke("Hi")
    model.invoke("Hi")
counted = usage.usage_metadata["gpt-4o"]["input_tokens"]
print(len(asked), "call of 10 input tokens; counted:", counted)
if (len(asked), counted) != (1, 20):
    raise SystemExit("The behaviour has changed.")
PY
