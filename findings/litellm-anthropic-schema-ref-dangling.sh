#!/usr/bin/env bash
# litellm 1.110.2: "#/$defs/Person" in a response schema becomes "/$defs/Person" on its way to
# Claude.
#
# Expected: the reference as it was, or the definition in its place. RFC 6901 in a URI fragment
# begins with "#": without it the value is a path relative to the schema's address, which names
# nothing here. Pydantic writes "#/$defs/..." for each nested model.
#
# Seen: the "#" is cut for models that answer through a forced tool, so the reference is
# dangling.
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

schema = {
    "type": "object", "properties": {"author": {"$ref": "#/$defs/Person"}}, "required": ["author"],
    "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}
litellm.completion(
    model="anthropic/claude-sonnet-4-20250514", api_base=url, api_key="k", max_tokens=50,
    messages=[{"role": "user", "content": "Who wrote Emma?"}],
    response_format={"type": "json_schema", "json_schema": {"name": "book", "schema": schema}},
)
sent = asked[0]["tools"][0]["input_schema"]["properties"]["author"]
print("given:", schema["properties"]["author"])
print("sent: ", sent)
if sent != {"$ref": "/$defs/Person"}:
    raise SystemExit("The behaviour has changed.")
PY
