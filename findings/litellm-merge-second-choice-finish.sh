#!/usr/bin/env bash
# litellm 1.110.2: stream_chunk_builder gives all choices of n=2 the finish_reason of the first.
#
# Expected: "stop" for choice 0 and "length" for choice 1, as the chunks of the stream say, and
# as the same answer says when it is not streamed.
#
# Seen: "stop" for both. The second answer was cut at max_tokens and is handed over as complete.
# Logging and cost callbacks of litellm see streams through the same function.
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
    chunk({"role": "assistant", "content": "Four."}, index=0), chunk({"role": "assistant", "content": "It is f"}, index=1),
    chunk({}, "stop", 0), chunk({}, "length", 1),
]

import litellm

ask = [{"role": "user", "content": "2 + 2?"}]
chunks = list(litellm.completion(model="openai/gpt-4o", api_base=url, api_key="k", messages=ask, stream=True, n=2))
merged = {choice.index: (choice.finish_reason, choice.message.content) for choice in litellm.stream_chunk_builder(chunks, messages=ask).choices}
print("upstream: 0 stop, 1 length")
print("merged:  ", merged)
if merged != {0: ("stop", "Four."), 1: ("stop", "It is f")}:
    raise SystemExit("The behaviour has changed.")
PY
