#!/usr/bin/env bash
# litellm 1.110.2: an input_audio part of a message to Claude is left out, and the rest is sent.
#
# Expected: an error before the call, as Anthropic's Messages API has no audio block.
#
# Seen: the request goes out with the text alone. The model is asked to transcribe a recording
# that it never got, and the answer is billed.
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
    return 200, {}, {
        "id": "msg", "type": "message", "role": "assistant", "model": "claude",
        "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


import litellm

litellm.completion(
    model="anthropic/claude-sonnet-4-5", api_base=url, api_key="k", max_tokens=50,
    messages=[{"role": "user", "content": [
        {"type": "text", "text": "Transcribe this recording."},
        {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF", "format": "wav"}},
    ]}],
)
sent = asked[0]["messages"][0]["content"]
print("parts given: text, input_audio")
print("parts sent:", [part["type"] for part in sent], sent)
if [part["type"] for part in sent] != ["text"]:
    raise SystemExit("The behaviour has changed.")
PY
