#!/usr/bin/env bash
# anthropic 2.14.0 (PyPI): the input of a tool call that ran into max_tokens is completed by
# guess.
#
# Expected: the raw text of the input, or an error: "{"amount": 12" is no JSON. What follows the
# 12 is unknown, since stop_reason max_tokens may fall within a number.
#
# Seen: get_final_message closes the open brackets and gives input {"amount": 12}, a dict like
# any other. Only stop_reason tells, and the accumulated message keeps no trace of the text that
# was there.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet anthropic==2.14.0
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
    events = [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "transfer", "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"amount": 12'}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens", "stop_sequence": None}, "usage": {"output_tokens": 8}},
        {"type": "message_stop"},
    ]
    return 200, {"content-type": "text/event-stream"}, "".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


import anthropic

with anthropic.Anthropic(api_key="k", base_url=url).messages.stream(
    model="claude", max_tokens=8, messages=[{"role": "user", "content": "Transfer it."}],
) as stream:
    message = stream.get_final_message()
print("streamed:", '{"amount": 12', "and then stop_reason max_tokens")
print("message: ", message.content[0].input, message.stop_reason)
if message.content[0].input != {"amount": 12}:
    raise SystemExit("The behaviour has changed.")
PY
