"""Cohere's SDK as it comes from PyPI against the mock: chat whole, streamed, by tools,
embeddings, models, and its faults as exceptions."""

import json
import os

import cohere
from cohere.errors import (
    BadRequestError, InternalServerError, InvalidTokenError, NotFoundError, ServiceUnavailableError, TooManyRequestsError, UnauthorizedError,
)

base, key = os.environ["BASE_URL"], os.environ["KEY"]


def client(key=key):
    return cohere.ClientV2(api_key=key, base_url=base)


def once(script=None):
    return {"max_retries": 0, "additional_headers": {"X-Mock": json.dumps(script)} if script else {}}


turns = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": [{"type": "text", "text": "one two"}]}]
tools = [{
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}]

whole = client().chat(model="command-a", messages=turns, max_tokens=50, p=0.9, stop_sequences=["END"], request_options=once())
assert whole.message.content[0].text == "You said: one two", whole
assert whole.finish_reason == "COMPLETE" and whole.id.startswith("co-"), whole
assert whole.usage.tokens.output_tokens == 4 and whole.usage.tokens.input_tokens > whole.usage.billed_units.input_tokens > 0, whole.usage

events = list(client().chat_stream(model="command-a", messages=turns, request_options=once()))
assert [e.type for e in events[:2] + events[-2:]] == ["message-start", "content-start", "content-end", "message-end"], events
assert "".join(e.delta.message.content.text for e in events if e.type == "content-delta") == "You said: one two", events
assert events[-1].delta.finish_reason == "COMPLETE" and events[-1].delta.usage.tokens.output_tokens == 4, events[-1]

called = client().chat(model="command-a", messages=turns, tools=tools, tool_choice="REQUIRED", request_options=once())
assert called.finish_reason == "TOOL_CALL" and called.message.tool_calls[0].function.name == "weather", called
assert json.loads(called.message.tool_calls[0].function.arguments) == {"answer": "You said: one two"}, called
events = list(client().chat_stream(model="command-a", messages=turns, tools=tools, tool_choice="REQUIRED", request_options=once()))
given = "".join(e.delta.message.tool_calls.function.arguments for e in events if e.type == "tool-call-delta")
assert json.loads(given) == {"answer": "You said: one two"}, events

vectors = client().embed(
    model="embed-v4.0", texts=["a", "b"], input_type="search_document", embedding_types=["float"], output_dimension=3, request_options=once()
)
assert [len(v) for v in vectors.embeddings.float_] == [3, 3] and vectors.meta.billed_units.input_tokens > 0, vectors

assert [m.name for m in cohere.Client(api_key=key, base_url=base).models.list(page_size=1000).models] == ["mock"]

for fault, kind in [
    ("rate_limit", TooManyRequestsError), ("unavailable", ServiceUnavailableError), ("server_error", InternalServerError),
    ("context_length", BadRequestError), ("model_not_found", NotFoundError), ("content_filter", InvalidTokenError), ("quota", TooManyRequestsError),
]:
    for stream in (False, True):
        try:
            if stream:
                list(client().chat_stream(model="command-a", messages=turns, request_options=once({"fault": fault})))
            else:
                client().chat(model="command-a", messages=turns, request_options=once({"fault": fault}))
            raise SystemExit(f"{fault}: no error")
        except kind as e:
            assert e.body["message"], e.body

events = list(client().chat_stream(model="command-a", messages=turns, request_options=once({"fault": "error_in_200"})))
assert events[-1].delta.finish_reason == "ERROR" and events[-1].delta.error, events[-1]

try:
    client(key="wrong").chat(model="command-a", messages=turns, request_options=once())
    raise SystemExit("a wrong key: no error")
except UnauthorizedError:
    pass
print("cohere", cohere.__version__)
