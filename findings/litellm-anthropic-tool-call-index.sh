#!/usr/bin/env bash
# litellm 1.110.2: tool calls of an Anthropic answer are numbered from the text block on.
#
# Expected: indices 0 and 1. Where OpenAI's protocol has an index on a tool call it is the
# call's place among the tool calls.
#
# Seen: 1 and 2 when a text block stands before them, as it usually does: the index counts all
# content blocks. Code that files calls under their index has a hole at 0. litellm's own stream
# of the same answer starts at 0.
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
    if asked[-1].get("stream"):
        events = [
            {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
            *[event for i, block in enumerate(MESSAGE["content"]) for event in stream_of(i, block)],
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
        ]
        text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
        return 200, {"content-type": "text/event-stream"}, text
    return 200, {}, MESSAGE


def stream_of(i, block):
    if block["type"] == "text":
        empty, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "content_block_start", "index": i, "content_block": empty}
    yield {"type": "content_block_delta", "index": i, "delta": delta}
    yield {"type": "content_block_stop", "index": i}


MESSAGE = {
    "id": "msg", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
    "content": [
        {"type": "text", "text": "Both at once."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Rome"}},
    ],
    "usage": {"input_tokens": 10, "output_tokens": 9},
}

import litellm

ask = dict(
    model="anthropic/claude-sonnet-4-5", api_base=url, api_key="k", max_tokens=50,
    messages=[{"role": "user", "content": "Weather in Oslo and Rome?"}],
    tools=[{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}],
)
whole = [call.index for call in litellm.completion(**ask).choices[0].message.tool_calls]
streamed = sorted({
    call.index for chunk in litellm.completion(**ask, stream=True) for call in chunk.choices[0].delta.tool_calls or []
})
print("whole answer:", whole)
print("the same streamed:", streamed)
if (whole, streamed) != ([1, 2], [0, 1]):
    raise SystemExit("The behaviour has changed.")
PY
