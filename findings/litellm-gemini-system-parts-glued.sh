#!/usr/bin/env bash
# litellm 1.110.2: the text parts of a system message are glued together for Gemini.
#
# Expected: two parts in system_instruction, which takes a list of parts, as the parts of a user
# message are kept apart.
#
# Seen: one text, joined with nothing between: "…in kilogrammes" and "Answer in French" become
# "…in kilogrammesAnswer in French".
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
        "candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    }


import litellm

parts = [{"type": "text", "text": "Give weights in kilogrammes"}, {"type": "text", "text": "Answer in French"}]
litellm.completion(
    model="gemini/gemini-2.5-flash", api_base=url, api_key="k",
    messages=[{"role": "system", "content": parts}, {"role": "user", "content": parts}],
)
system = [part["text"] for part in asked[0]["system_instruction"]["parts"]]
user = [part["text"] for part in asked[0]["contents"][0]["parts"]]
print("as a user message:  ", user)
print("as a system message:", system)
if system != ["Give weights in kilogrammesAnswer in French"] or len(user) != 2:
    raise SystemExit("The behaviour has changed.")
PY
