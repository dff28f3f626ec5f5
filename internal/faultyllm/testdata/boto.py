"""AWS's SDK as it comes from PyPI, whose types are checked on both sides, against the
mock: Converse whole, streamed in frames, by tools, and its faults as exceptions."""

import json
import os

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

base, key = os.environ["BASE_URL"], os.environ["KEY"]
script = None


def client(key=key):
    made = boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=base,
        aws_access_key_id=key, aws_secret_access_key="secret", config=Config(retries={"total_max_attempts": 1}),
    )
    made.meta.events.register("before-call.bedrock-runtime", add_script)
    return made


def add_script(params, **_):
    if script:
        params["headers"]["X-Mock"] = json.dumps(script)


ask = {
    "modelId": "us.amazon.nova-lite-v1:0",
    "messages": [{"role": "user", "content": [{"text": "one"}, {"text": " two"}]}],
    "system": [{"text": "Be brief"}],
    "inferenceConfig": {"maxTokens": 50, "temperature": 0.5, "stopSequences": ["END"]},
}
tools = {
    "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}}}],
    "toolChoice": {"any": {}},
}

whole = client().converse(**ask)
assert whole["output"]["message"]["content"] == [{"text": "You said: one two"}], whole
assert whole["stopReason"] == "end_turn" and whole["usage"]["outputTokens"] == 4, whole
assert whole["ResponseMetadata"]["RequestId"].startswith("req_"), whole

events = list(client().converse_stream(**ask)["stream"])
assert [next(iter(e)) for e in events[:1] + events[-3:]] == ["messageStart", "contentBlockStop", "messageStop", "metadata"], events
assert "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e) == "You said: one two", events
assert events[-1]["metadata"]["usage"]["totalTokens"] == whole["usage"]["totalTokens"], events

called = client().converse(**ask, toolConfig=tools)
assert called["stopReason"] == "tool_use", called
assert called["output"]["message"]["content"][0]["toolUse"]["input"] == {"answer": "You said: one two"}, called
events = list(client().converse_stream(**ask, toolConfig=tools)["stream"])
assert events[1]["contentBlockStart"]["start"]["toolUse"]["name"] == "weather", events
given = "".join(e["contentBlockDelta"]["delta"]["toolUse"]["input"] for e in events if "contentBlockDelta" in e)
assert json.loads(given) == {"answer": "You said: one two"}, given

for fault, name, status in [
    ("rate_limit", "ThrottlingException", 429),
    ("unavailable", "ServiceUnavailableException", 503),
    ("server_error", "InternalServerException", 500),
    ("context_length", "ValidationException", 400),
    ("model_not_found", "ResourceNotFoundException", 404),
    ("forbidden", "AccessDeniedException", 403),
    ("quota", "ServiceQuotaExceededException", 400),
]:
    script = {"fault": fault}
    for call in (client().converse, client().converse_stream):
        try:
            call(**ask)
            raise SystemExit(f"{fault}: no error")
        except ClientError as e:
            assert e.response["Error"]["Code"] == name, (fault, e.response)
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] == status, (fault, e.response)

script = {"fault": "error_in_200"}
try:
    list(client().converse_stream(**ask)["stream"])
    raise SystemExit("an exception within a stream: no error")
except EventStreamError as e:
    assert "modelStreamErrorException" in str(e), e

script = None
try:
    client(key="wrong").converse(**ask)
    raise SystemExit("a wrong key: no error")
except ClientError as e:
    assert e.response["Error"]["Code"] == "UnrecognizedClientException", e.response
print("boto3", boto3.__version__, "botocore", botocore.__version__)
