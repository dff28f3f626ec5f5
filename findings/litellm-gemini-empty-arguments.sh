#!/usr/bin/env bash
# litellm 1.110.2: empty arguments of a tool call become {"type": "object"} for Gemini.
#
# Expected: args {}: a call of a function without parameters has no arguments, and several
# OpenAI-compatible servers write "" for that.
#
# Seen: the history tells Gemini that the function was called with an argument named "type"
# whose value is "object".
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

litellm.completion(
    model="gemini/gemini-2.5-flash", api_base=url, api_key="k",
    messages=[
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
    ],
    tools=[{"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}],
)
sent = asked[0]["contents"][1]["parts"][0]["function_call"]
print("given: clock()")
print("sent: ", sent)
if sent["args"] != {"type": "object"}:
    raise SystemExit("The behaviour has changed.")
PY
