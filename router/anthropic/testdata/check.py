"""Reads requests, one a line, and holds each against the types of Anthropic's SDK
as it comes from PyPI, with further members forbidden. The SDK's types are of an API
version without temperature, top_p and top_k."""

import importlib
import json
import pkgutil
import sys

import anthropic.types
import pydantic
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from typing_extensions import is_typeddict

for module in pkgutil.iter_modules(anthropic.types.__path__):
    if module.name != "beta":
        for value in vars(importlib.import_module("anthropic.types." + module.name)).values():
            if is_typeddict(value) and not hasattr(value, "__pydantic_config__"):
                value.__pydantic_config__ = pydantic.ConfigDict(extra="forbid")

adapters = {
    False: pydantic.TypeAdapter(MessageCreateParamsNonStreaming),
    True: pydantic.TypeAdapter(MessageCreateParamsStreaming),
}
bad = count = 0
for line in sys.stdin:
    request = json.loads(line)
    body = {k: v for k, v in request["body"].items() if k not in ("temperature", "top_p", "top_k")}
    count += 1
    try:
        adapters[bool(body.get("stream"))].validate_python(body)
    except pydantic.ValidationError as e:
        bad += 1
        print(request["name"], json.dumps(body), [(x["loc"], x["msg"]) for x in e.errors()[:3]], sep="\n  ")
print("anthropic", anthropic.__version__, count, "requests")
sys.exit(1 if bad or count < 10 else 0)
