"""Anthropic's SDK as it comes from PyPI, with strict checks of what comes, against
the mock: whole, streamed, by tools, and its faults as the SDK's exceptions."""

import os

import anthropic

base, key = os.environ["BASE_URL"], os.environ["KEY"]


def client(retries=0, key=key):
    return anthropic.Anthropic(
        base_url=base, api_key=key, max_retries=retries, _strict_response_validation=True
    )


turns = [{"role": "user", "content": "one two"}]
tool = {
    "name": "weather",
    "description": "Weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

whole = client().messages.create(model="claude-a", max_tokens=50, messages=turns, system="Be brief", stop_sequences=["END"])
assert whole.content[0].text == "You said: one two", whole
assert whole.stop_reason == "end_turn" and whole.usage.output_tokens == 4, whole
assert whole._request_id.startswith("req_"), whole._request_id

with client().messages.stream(model="claude-a", max_tokens=50, messages=turns) as stream:
    pieces = list(stream.text_stream)
    final = stream.get_final_message()
assert len(pieces) > 1 and "".join(pieces) == "You said: one two", pieces
assert final.content[0].text == whole.content[0].text and final.usage.output_tokens == 4, final

called = client().messages.create(
    model="claude-a", max_tokens=50, messages=turns, tools=[tool], tool_choice={"type": "tool", "name": "weather"}
)
assert called.stop_reason == "tool_use" and called.content[0].name == "weather", called
assert called.content[0].input == {"answer": "You said: one two"}, called

with client().messages.stream(
    model="claude-a", max_tokens=50, messages=turns, tools=[tool], tool_choice={"type": "any"}
) as stream:
    streamed = stream.get_final_message()
assert streamed.content[0].input == called.content[0].input and streamed.stop_reason == "tool_use", streamed

# What comes after a call: its block, and the result.
after = client().messages.create(
    model="claude-a",
    max_tokens=50,
    tools=[tool],
    messages=turns
    + [
        {"role": "assistant", "content": [called.content[0].model_dump(include={"type", "id", "name", "input"})]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": called.content[0].id, "content": "3"},
            {"type": "text", "text": "And now?"},
        ]},
    ],
)
assert after.content[0].text == "You said: And now?", after

for fault, kind in {
    "bad_request": anthropic.BadRequestError,
    "auth": anthropic.AuthenticationError,
    "forbidden": anthropic.PermissionDeniedError,
    "model_not_found": anthropic.NotFoundError,
    "rate_limit": anthropic.RateLimitError,
    "server_error": anthropic.InternalServerError,
    "overloaded": anthropic.InternalServerError,
    "close": anthropic.APIConnectionError,
}.items():
    try:
        client().messages.create(model="claude-a", max_tokens=50, messages=turns, extra_body={"mock": {"fault": fault}})
        raise SystemExit(f"{fault}: no error")
    except kind:
        pass

# A fault once: the SDK tries again, and gets its answer.
again = client(retries=2).messages.create(
    model="claude-a", max_tokens=50, messages=turns, extra_body={"mock": {"fault": "overloaded", "times": 1, "retry_after": 0.1}}
)
assert again.content[0].text == "You said: one two", again

try:
    with client().messages.stream(
        model="claude-a", max_tokens=50, messages=turns, extra_body={"mock": {"fault": "error_in_200"}}
    ) as stream:
        stream.get_final_message()
    raise SystemExit("an error within a stream: no error")
except anthropic.APIStatusError:
    pass

try:
    client(key="sk-wrong").messages.create(model="claude-a", max_tokens=50, messages=turns)
    raise SystemExit("a wrong key: no error")
except anthropic.AuthenticationError:
    pass
print("anthropic", anthropic.__version__)
