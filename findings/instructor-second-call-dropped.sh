#!/usr/bin/env bash
# instructor 1.17.0 (PyPI): of two tool calls in one answer the second is dropped without a
# word.
#
# Expected: an error that says to ask for a list, or parallel_tool_calls false in the request.
# The prompt names two people and the model answers with two valid calls, which OpenAI's models
# may do by default.
#
# Seen: the first call is parsed and returned; nothing tells of the other, and the request does
# not forbid it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet instructor==1.17.0
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
    calls = [{"id": f"call_{i}", "type": "function", "function": {"name": "Person", "arguments": json.dumps({"name": name})}}
             for i, name in enumerate(["Ada", "Grace"])]
    return 200, {}, {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls": calls}}]}


import instructor
import openai
import pydantic


class Person(pydantic.BaseModel):
    name: str


client = instructor.from_openai(openai.OpenAI(api_key="k", base_url=url))
got = client.chat.completions.create(
    model="gpt-4o", response_model=Person, messages=[{"role": "user", "content": "Ada and Grace came."}])
print("upstream: Ada, Grace; returned:", got, "; parallel_tool_calls sent:", asked[0].get("parallel_tool_calls"))
if got.name != "Ada" or len(asked) != 1 or "parallel_tool_calls" in asked[0]:
    raise SystemExit("The behaviour has changed.")
PY
