#!/usr/bin/env bash
# google-genai 3.6.1 (PyPI): automatic function calling reports the tokens of its last call
# only.
#
# Expected: the sum of the calls that generate_content made, or a field with all of them. With a
# Python function as a tool the method calls the API again with each result, and usage_metadata
# is what users bill by.
#
# Seen: four calls of 1,000, 1,000, 1,000 and 10 prompt tokens; the response says 10.
# automatic_function_calling_history holds the contents of the earlier calls and no usage.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
timeout 600 env/bin/pip install --quiet google-genai==3.6.1
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


def answer(n):
    part, tokens = ({"functionCall": {"name": "price", "args": {}}}, 1000) if n < 4 else ({"text": "3"}, 10)
    return 200, {}, {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": tokens, "candidatesTokenCount": 1, "totalTokenCount": tokens + 1},
    }


from google import genai


def price() -> int:
    """The price in euros."""
    return 3


client = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=url))
got = client.models.generate_content(
    model="gemini-2.5-flash", contents="What does it cost?", config=genai.types.GenerateContentConfig(tools=[price]))
print(len(asked), "calls, 3010 prompt tokens; usage_metadata:", got.usage_metadata.prompt_token_count)
if (len(asked), got.usage_metadata.prompt_token_count) != (4, 10):
    raise SystemExit("The behaviour has changed.")
PY
