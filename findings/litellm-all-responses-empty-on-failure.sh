#!/usr/bin/env bash
# litellm 1.110.2: batch_completion_models_all_responses gives [] when each model fails.
#
# Expected: an exception, or one entry per model. batch_completion puts the exception in the
# place of the answer, and batch_completion_models raises the last one.
#
# Seen: an empty list and no exception: two failed calls look like none.
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
    return 500, {}, {"error": {"message": "The server had an error", "type": "server_error"}}


import litellm

litellm.suppress_debug_info = True
ask = dict(messages=[{"role": "user", "content": "Hi"}], api_base=url, api_key="k", max_retries=0)
every = litellm.batch_completion_models_all_responses(models=["openai/a", "openai/b"], **ask)
calls = len(asked)
one_by_one = litellm.batch_completion(model="openai/a", **{**ask, "messages": [ask["messages"]] * 2})
print("calls:", calls, "-> batch_completion_models_all_responses:", every)
print("batch_completion:", [type(x).__name__ for x in one_by_one])
if every != [] or calls != 2:
    raise SystemExit("The behaviour has changed.")
PY
