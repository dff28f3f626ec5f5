# Google's own SDK as a client of the mock, by the Gemini API and by Vertex AI.
import json
import os

from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

base = os.environ["BASE_URL"]
once = types.HttpRetryOptions(attempts=1)


def options(script=None):
    headers = {"X-Mock": json.dumps(script)} if script else None
    return types.HttpOptions(base_url=base, headers=headers, retry_options=once)


def refused(client, kind, code, status, script):
    config = types.GenerateContentConfig(http_options=options(script))
    for stream in (False, True):
        try:
            if stream:
                list(client.models.generate_content_stream(model="m", contents="Hello", config=config))
            else:
                client.models.generate_content(model="m", contents="Hello", config=config)
        except kind as e:
            assert (e.code, e.status) == (code, status), (e.code, e.status)
        else:
            raise AssertionError(f"{script} raised nothing")


def check(client):
    config = types.GenerateContentConfig(
        system_instruction="Be brief",
        temperature=0.5,
        max_output_tokens=50,
        thinking_config=types.ThinkingConfig(thinking_level="low"),
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(
                        name="get_weather",
                        parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
                    )
                ]
            )
        ],
    )
    answer = client.models.generate_content(model="m", contents="Hello Oslo", config=config)
    assert answer.text == "You said: Hello Oslo", answer
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP, answer
    assert answer.usage_metadata.candidates_token_count == 4, answer.usage_metadata
    assert answer.model_version == "m" and answer.response_id, answer

    pieces = list(client.models.generate_content_stream(model="m", contents="Hello Oslo"))
    assert len(pieces) == 5 and "".join(p.text or "" for p in pieces) == "You said: Hello Oslo", pieces
    assert pieces[-1].candidates[0].finish_reason == types.FinishReason.STOP, pieces[-1]
    assert pieces[-1].usage_metadata.total_token_count > 4, pieces[-1]

    refused(client, errors.ClientError, 429, "RESOURCE_EXHAUSTED", {"fault": "rate_limit"})
    refused(client, errors.ClientError, 400, "INVALID_ARGUMENT", {"fault": "context_length"})
    refused(client, errors.ClientError, 404, "NOT_FOUND", {"fault": "model_not_found"})
    refused(client, errors.ServerError, 503, "UNAVAILABLE", {"fault": "unavailable"})

    config = types.GenerateContentConfig(http_options=options({"fault": "content_filter"}))
    answer = client.models.generate_content(model="m", contents="Hello", config=config)
    assert answer.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT, answer


api = genai.Client(api_key="mock-key", http_options=options())
check(api)
vectors = api.models.embed_content(model="m", contents=["a", "b"], config=types.EmbedContentConfig(output_dimensionality=3))
assert [len(e.values) for e in vectors.embeddings] == [3, 3], vectors
refused(genai.Client(api_key="wrong", http_options=options()), errors.ClientError, 400, "INVALID_ARGUMENT", None)

check(genai.Client(vertexai=True, project="p", location="l", credentials=Credentials(token="mock-key"), http_options=options()))
print("ok")
