#!/usr/bin/env bash
# langchain-openai 1.7.4 (PyPI): the choices of a streamed n=2 are run together into one text.
#
# Expected: chunks that say which choice they belong to, or the first choice alone, as invoke
# does with n=2. The protocol numbers the choices for this purpose.
#
# Seen: the pieces of both answers alternate in one message, and summing the chunks as the
# documentation shows gives finish_reason "stoplength" and the model's name twice.
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
    return 200, {"content-type": "text/event-stream"}, "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS)


def chunk(delta, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


CHUNKS = [
    chunk({"role": "assistant", "content": "Four"}), chunk({"role": "assistant", "content": "It is"}, index=1),
    chunk({"content": "."}), chunk({"content": " five"}, index=1), chunk({}, "stop"), chunk({}, "length", 1),
]

from langchain_openai import ChatOpenAI

whole = None
for piece in ChatOpenAI(model="m", api_key="k", base_url=url, n=2).stream("2 + 2?"):
    whole = piece if whole is None else whole + piece
print("upstream: 'Four.' (stop) and 'It is five' (length)")
print("merged:  ", repr(whole.content), whole.response_metadata["finish_reason"])
if (whole.content, whole.response_metadata["finish_reason"]) != ("FourIt is. five", "stoplength"):
    raise SystemExit("The behaviour has changed.")
PY
