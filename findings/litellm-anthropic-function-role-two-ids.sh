#!/usr/bin/env bash
# litellm 1.110.2: a function_call and its function message get two unrelated ids for Claude.
#
# Expected: one id in both places. Anthropic pairs each tool_result with the tool_use of the
# same id and refuses a result without one. OpenAI's older function messages have no ids, so the
# translation has to make one.
#
# Seen: the call gets one made-up id and the result another. Old histories of this form cannot
# be continued.
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
    messages=[
        {"role": "user", "content": "Weather in Oslo?"},
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
        {"role": "function", "name": "weather", "content": "Rain."},
    ],
    tools=[{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}],
)
blocks = [block for message in asked[0]["messages"] for block in message["content"]]
call = next(block["id"] for block in blocks if block["type"] == "tool_use")
result = next(block["tool_use_id"] for block in blocks if block["type"] == "tool_result")
print("tool_use.id:            ", call)
print("tool_result.tool_use_id:", result)
if call == result:
    raise SystemExit("The behaviour has changed.")
PY
