#!/usr/bin/env bash
# litellm 1.110.2: Gemini's MALFORMED_FUNCTION_CALL is reported as finish_reason "stop".
#
# Expected: anything but the word for a finished answer. Google's documentation of FinishReason:
# the function call that the model generated is invalid. OpenAI's: "stop" means a natural stop
# point or a stop sequence.
#
# Seen: "stop", with the text that came before the failed call. The caller cannot tell it from
# an answer that is complete.
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
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": "I book it now."}]},
            "finishReason": "MALFORMED_FUNCTION_CALL",
        }],
        "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 25},
    }


import litellm

choice = litellm.completion(
    model="gemini/gemini-2.5-flash", api_base=url, api_key="k",
    messages=[{"role": "user", "content": "Book the table."}],
    tools=[{"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}],
).choices[0]
print("upstream: MALFORMED_FUNCTION_CALL")
print("caller:  ", choice.finish_reason, repr(choice.message.content), choice.message.tool_calls)
if choice.finish_reason != "stop":
    raise SystemExit("The behaviour has changed.")
PY
