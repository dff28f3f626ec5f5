"""OpenAI's Python SDK as it is, against the gateway at BASE_URL."""

import io
import json
import os
import time

import openai
from openai import OpenAI
from openai.types import Batch, FileObject, FileDeleted, Model
from pydantic import BaseModel

EXTENSIONS = {"Batch": {"pelton"}}


def strict(model):
    """The object, sent back through its own type: what is wrong in type is an error, what is not OpenAI's is listed."""
    kind = type(model).__name__
    type(model).model_validate(model.model_dump(), strict=True)
    extra = set(model.model_extra or {}) - EXTENSIONS.get(kind, set())
    assert not extra, f"{kind} has members that OpenAI's has not: {extra}"
    for name, value in model:
        if isinstance(value, BaseModel):
            strict(value)
    return model


def client(key):
    return OpenAI(base_url=os.environ["BASE_URL"] + "/v1", api_key=key, max_retries=0)


def line(custom_id, text, mock=None):
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    if mock:
        body["mock"] = mock
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def upload(c, text):
    f = strict(c.files.create(file=("requests.jsonl", io.BytesIO(text.encode())), purpose="batch"))
    assert isinstance(f, FileObject) and f.bytes == len(text) and f.filename == "requests.jsonl", f
    return f


def create(c, file_id, **more):
    order = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return strict(c.batches.create(input_file_id=file_id, **order))


def wait(c, batch, status):
    for _ in range(1200):
        batch = strict(c.batches.retrieve(batch.id))
        assert isinstance(batch, Batch)
        if batch.status == status:
            return batch
        time.sleep(0.05)
    raise AssertionError(f"{batch.id} is {batch.status}, not {status}")


def refused(kind, do, **members):
    try:
        do()
    except kind as e:
        for name, want in members.items():
            assert getattr(e, name) == want, (name, getattr(e, name), want)
        return e
    raise AssertionError(f"no {kind.__name__}")


ours, theirs = client("owner"), client("other")
n = 20
text = "".join(line(f"request-{i}", str(i)) for i in range(n)) + line("bad", "x", {"status": 400})
f = upload(ours, text)
assert strict(ours.files.retrieve(f.id)).id == f.id
assert ours.files.content(f.id).text == text

# Upload, create, poll, download.
b = create(ours, f.id, metadata={"team": "search", "pelton_concurrency": "4"})
assert b.status in ("validating", "in_progress") and b.metadata["team"] == "search", b
b = wait(ours, b, "completed")
assert (b.request_counts.total, b.request_counts.completed, b.request_counts.failed) == (n + 1, n, 1), b
assert b.usage.total_tokens > 0 and b.errors is None and b.completed_at >= b.created_at
output = [json.loads(l) for l in ours.files.content(b.output_file_id).text.splitlines()]
assert [l["custom_id"] for l in output] == [f"request-{i}" for i in range(n)]
assert all(l["response"]["status_code"] == 200 and l["error"] is None for l in output)
assert output[3]["response"]["body"]["choices"][0]["message"]["content"] == "You said: 3"
errors = [json.loads(l) for l in ours.files.content(b.error_file_id).text.splitlines()]
assert [l["custom_id"] for l in errors] == ["bad"] and errors[0]["response"]["status_code"] == 400
with ours.files.with_streaming_response.content(b.output_file_id) as r:
    got = sum(len(c) for c in r.iter_bytes())
assert got == strict(ours.files.retrieve(b.output_file_id)).bytes

# Lists, page by page as the SDK walks them.
more = [create(ours, f.id) for _ in range(4)]
ids = [x.id for x in ours.batches.list(limit=2)]
assert len(ids) == 5 and ids[-1] == b.id, ids
assert f.id in [strict(x).id for x in ours.files.list(purpose="batch", limit=1)]
assert {x.purpose for x in ours.files.list(purpose="batch_output")} == {"batch_output"}
assert "m" in [strict(x).id for x in ours.models.list()]
assert isinstance(ours.models.retrieve("m"), Model)

# A repeated create makes one batch.
once = {"extra_headers": {"Idempotency-Key": "python"}}
assert create(ours, f.id, **once).id == create(ours, f.id, **once).id

# Cancel.
b = create(ours, upload(ours, line("stuck", "x", {"latency_ms": 60000})).id)
assert strict(ours.batches.cancel(b.id)).status in ("cancelling", "cancelled")
b = wait(ours, b, "cancelled")
assert b.cancelled_at is not None

# The ways in which it fails: bad line, wrong endpoint, unknown file, foreign key.
b = wait(ours, create(ours, upload(ours, line("a", "x") + "{oops\n").id), "failed")
assert b.errors.data[0].line == 2 and b.errors.data[0].code == "invalid_json_line", b.errors
b = wait(ours, create(ours, f.id, endpoint="/v1/embeddings"), "failed")
assert b.errors.data[0].param == "url", b.errors
refused(openai.BadRequestError, lambda: create(ours, f.id, endpoint="/v1/images/edits"), param="endpoint")
refused(openai.BadRequestError, lambda: create(ours, "file-none"), param="input_file_id")
refused(openai.BadRequestError, lambda: create(ours, f.id, completion_window="99d"), param="completion_window")
refused(openai.NotFoundError, lambda: ours.files.retrieve("file-none"))
refused(openai.NotFoundError, lambda: ours.files.content("file-none"))
refused(openai.NotFoundError, lambda: ours.batches.retrieve("batch_none"))
refused(openai.NotFoundError, lambda: theirs.files.retrieve(f.id))
refused(openai.NotFoundError, lambda: theirs.batches.retrieve(b.id))
refused(openai.NotFoundError, lambda: theirs.batches.cancel(b.id))
refused(openai.BadRequestError, lambda: create(theirs, f.id), param="input_file_id")
refused(openai.PermissionDeniedError, lambda: upload(client("reader"), "x"))
refused(openai.AuthenticationError, lambda: client("wrong").batches.list(), code="invalid_api_key")
assert [x.id for x in theirs.batches.list()] == []

# Delete.
gone = ours.files.delete(f.id)
assert isinstance(gone, FileDeleted) and gone.deleted and gone.id == f.id
refused(openai.NotFoundError, lambda: ours.files.retrieve(f.id))
print("openai", openai.__version__, "ok")
