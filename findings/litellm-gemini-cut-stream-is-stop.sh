#!/usr/bin/env bash
# litellm 1.110.2: a Gemini stream that breaks off ends with an invented finish_reason "stop".
#
# Expected: an error, as litellm raises for the same cut in an OpenAI stream ("Stream ended
# before a finish_reason was received"). Each whole Gemini stream carries a finishReason in its
# last chunk.
#
# Seen: the half answer is closed by a chunk that says "stop": truncated output looks complete.
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
    if "contents" in asked[-1]:
        chunk = {"candidates": [{"content": {"role": "model", "parts": [{"text": "The sum is 12"}]}}]}
    else:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": "The sum is 12"}, "finish_reason": None}]}
    return 200, {"content-type": "text/event-stream"}, f"data: {json.dumps(chunk)}\n\n"


import litellm

litellm.suppress_debug_info = True


def read(model):
    try:
        chunks = litellm.completion(
            model=model, api_base=url, api_key="k", stream=True, messages=[{"role": "user", "content": "Add up."}],
        )
        return [chunk.choices[0].finish_reason for chunk in chunks][-1]
    except Exception as error:
        return type(error).__name__


gemini, openai = read("gemini/gemini-2.5-flash"), read("openai/gpt-4o")
print("cut OpenAI stream:", openai)
print("cut Gemini stream:", gemini)
if gemini != "stop" or openai == "stop":
    raise SystemExit("The behaviour has changed.")
PY
