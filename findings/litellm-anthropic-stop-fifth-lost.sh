#!/usr/bin/env bash
# litellm 1.110.2: only the first four stop sequences reach Anthropic.
#
# Expected: all six, or an error. Anthropic's Messages API takes a list of stop_sequences
# without OpenAI's limit of four, and an unsupported parameter raises UnsupportedParamsError in
# litellm unless drop_params is set.
#
# Seen: four are sent, without a warning. A generation that should end at the fifth runs on to
# max_tokens and is billed.
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

stops = ["A", "B", "C", "D", "E", "F"]
litellm.completion(
    model="anthropic/claude-sonnet-4-5", api_base=url, api_key="k", max_tokens=50, stop=stops,
    messages=[{"role": "user", "content": "Count."}],
)
print("asked for:", stops)
print("sent:", asked[0]["stop_sequences"])
if asked[0]["stop_sequences"] != stops[:4]:
    raise SystemExit("The behaviour has changed.")
PY
