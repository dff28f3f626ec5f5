"""A chat model that says "hi", for ASGI servers (app) and WSGI servers (wsgi)."""

import json


def answer(body):
    """Return the media type and the parts of an answer to a request's body."""
    request = json.loads(body)
    head = {"id": "c", "created": 1, "model": request["model"]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    if not request.get("stream"):
        message = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        whole = dict(head, object="chat.completion", choices=[message], usage=usage)
        return "application/json", [json.dumps(whole).encode()]
    chunk = dict(head, object="chat.completion.chunk")
    events = [dict(chunk, choices=[{"index": 0, "delta": {"role": "assistant", "content": part}}]) for part in ("h", "i")]
    events.append(dict(chunk, choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    events.append(dict(chunk, choices=[], usage=usage))
    return "text/event-stream", [b"data: " + json.dumps(e).encode() + b"\n\n" for e in events] + [b"data: [DONE]\n\n"]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    media, parts = ("text/plain", [b"ok"]) if scope["method"] == "GET" else answer(body)
    headers = [(b"content-type", media.encode())]
    if len(parts) == 1:
        headers.append((b"content-length", str(len(parts[0])).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def wsgi(environ, start_response):
    if environ["REQUEST_METHOD"] == "GET":
        media, parts = "text/plain", [b"ok"]
    else:
        media, parts = answer(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    headers = [("Content-Type", media)]
    if len(parts) == 1:
        headers.append(("Content-Length", str(len(parts[0]))))
    start_response("200 OK", headers)
    return iter(parts)
