#!/usr/bin/env bash
# litellm 1.110.2: stream_chunk_builder keeps only the first piece of a streamed refusal.
#
# Expected: the pieces of delta.refusal joined, as those of delta.content are. OpenAI streams a
# refusal in deltas like any other text.
#
# Seen: the first piece alone.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet litellm==1.110.2
export LITELLM_LOCAL_MODEL_COST_MAP=True # no price map from the network
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
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n"
    return 200, {"content-type": "text/event-stream"}, text


def chunk(delta, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}


CHUNKS = [
    chunk({"role": "assistant", "content": None, "refusal": "I can"}), chunk({"refusal": "not help"}),
    chunk({"refusal": " with that."}), chunk({}, "stop"),
]

import litellm

ask = [{"role": "user", "content": "?"}]
chunks = list(litellm.completion(model="openai/gpt-4o", api_base=url, api_key="k", messages=ask, stream=True))
merged = litellm.stream_chunk_builder(chunks, messages=ask).choices[0].message.refusal
print("upstream:", repr("I cannot help with that."))
print("merged:  ", repr(merged))
if merged != "I can":
    raise SystemExit("The behaviour has changed.")
PY
