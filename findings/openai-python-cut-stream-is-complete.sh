#!/usr/bin/env bash
# openai 3.57.0 (PyPI): get_final_completion hands over a stream that was cut as a completion.
#
# Expected: an error. The API reference sends a finish_reason for each choice and "data: [DONE]"
# at the end; the helper of the Node package refuses the same stream with "missing finish_reason
# for choice 0".
#
# Seen: the half text, finish_reason None, no exception; a loop over the chunks ends as after a
# whole answer. Only a caller that looks at finish_reason itself can tell.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet openai==3.57.0
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
    return 200, {"content-type": "text/event-stream"}, "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS)


def chunk(delta, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


CHUNKS = [chunk({"role": "assistant", "content": "Transfer 12"})]  # and then the connection ends

import openai

client = openai.OpenAI(api_key="k", base_url=url)
ask = dict(model="m", messages=[{"role": "user", "content": "How much?"}])
with client.chat.completions.stream(**ask) as stream:
    choice = stream.get_final_completion().choices[0]
print("final completion:", repr(choice.message.content), "finish_reason", choice.finish_reason)
if (choice.message.content, choice.finish_reason) != ("Transfer 12", None):
    raise SystemExit("The behaviour has changed.")
PY
