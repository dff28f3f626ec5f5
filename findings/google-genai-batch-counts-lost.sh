#!/usr/bin/env bash
# google-genai 3.6.1 (PyPI): batches.get drops the counts of a Gemini batch.
#
# Expected: completion_stats with 1 successful and 1 failed request. The API's batch has
# batchStats (requestCount, successfulRequestCount, failedRequestCount), and BatchJob has a
# field for completion statistics.
#
# Seen: completion_stats is None and the state JOB_STATE_SUCCEEDED, also for a batch with
# failures: how many failed is known only by reading every response.
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

class Batches(Upstream):
    def do_GET(self):
        body = json.dumps({"name": "batches/1", "done": True, "metadata": {
            "model": "models/gemini-2.5-flash", "displayName": "b", "state": "BATCH_STATE_SUCCEEDED", "name": "batches/1",
            "batchStats": {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"}}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server.RequestHandlerClass = Batches

from google import genai

client = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=url))
job = client.batches.get(name="batches/1")
print("upstream: 2 requests, 1 failed")
print("SDK:     ", job.state.name, "completion_stats", job.completion_stats)
if job.completion_stats is not None:
    raise SystemExit("The behaviour has changed.")
PY
