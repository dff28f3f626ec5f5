#!/usr/bin/env bash
# litellm 1.110.2: response_format json_object is accepted for Claude and leaves no trace in the
# request.
#
# Expected: a forced tool, an output format, an instruction or an error: supported parameters of
# the model list response_format, and an unsupported one raises UnsupportedParamsError.
#
# Seen: the body that goes out is the same with and without it. The caller asked for JSON and
# gets prose, with status 200.
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

ask = dict(
    model="anthropic/claude-sonnet-4-5", api_base=url, api_key="k", max_tokens=50,
    messages=[{"role": "user", "content": "Name a colour, as JSON."}],
)
litellm.completion(**ask)
litellm.completion(**ask, response_format={"type": "json_object"})
listed = "response_format" in litellm.get_supported_openai_params("claude-sonnet-4-5", "anthropic")
print("response_format is listed as supported:", listed)
print("body without it:", asked[0])
print("body with it:   ", asked[1])
if not listed or asked[0] != asked[1]:
    raise SystemExit("The behaviour has changed.")
PY
