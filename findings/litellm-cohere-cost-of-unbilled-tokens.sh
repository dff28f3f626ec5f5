#!/usr/bin/env bash
# litellm 1.110.2: the cost of a Cohere answer is reckoned from tokens that Cohere does not
# bill.
#
# Expected: 3 input and 4 output tokens at the list price. Cohere's answer has
# usage.billed_units, described in its API reference as the billed amounts, next to
# usage.tokens, which is all that the model read and wrote.
#
# Seen: usage and cost are those of usage.tokens: 70 in and 5 out. This short request looks
# nearly five times dearer than its bill.
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
        "id": "x", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello!"}]},
        "usage": {
            "billed_units": {"input_tokens": 3, "output_tokens": 4},
            "tokens": {"input_tokens": 70, "output_tokens": 5},
        },
    }


import litellm

model = "cohere_chat/command-r-plus-08-2024"
got = litellm.completion(
    model=model, api_base=url + "/v2/chat", api_key="k", messages=[{"role": "user", "content": "Hello"}],
)
cost = litellm.completion_cost(got, model=model)
billed = sum(litellm.cost_per_token(model=model, prompt_tokens=3, completion_tokens=4))
print("usage: %d in, %d out" % (got.usage.prompt_tokens, got.usage.completion_tokens))
print("cost: %.7f; of what is billed: %.7f" % (cost, billed))
if got.usage.prompt_tokens != 70 or cost <= 3 * billed:
    raise SystemExit("The behaviour has changed.")
PY
