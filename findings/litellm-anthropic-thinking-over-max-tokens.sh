#!/usr/bin/env bash
# litellm 1.110.2: reasoning_effort makes a thinking budget above the max_tokens of the same
# request.
#
# Expected: a budget below max_tokens, or a larger max_tokens. Anthropic's documentation of
# extended thinking: budget_tokens has to be less than max_tokens. litellm itself raises
# max_tokens when the caller left it out.
#
# Seen: max_tokens 1000 and budget_tokens 4096 go out together, which the API answers with
# status 400.
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
    model="anthropic/claude-haiku-4-5", api_base=url, api_key="k", max_tokens=1000, reasoning_effort="high",
    messages=[{"role": "user", "content": "Is 1009 a prime?"}],
)
sent = asked[0]["max_tokens"], asked[0]["thinking"]["budget_tokens"]
print("max_tokens %d, budget_tokens %d" % sent)
if sent != (1000, 4096):
    raise SystemExit("The behaviour has changed.")
PY
