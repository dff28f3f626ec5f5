"""Hands a job to a running service and prints the answers in input order.

    pip install nats-py
    pelton worker &
    python examples/python/run.py
"""

import asyncio
import json
import os

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def parallel_completions(js, requests, **options):
    """Publishes one job and returns its results in input order."""
    job = {"requests": requests, **options}
    ack = await js.publish("pelton.jobs.default", json.dumps(job).encode())
    job_id = options.get("id", f"j{ack.seq}")

    results = {}
    sub = await js.subscribe(
        f"pelton.results.default.{job_id}.>",
        stream="PELTON_RESULTS",
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL),
    )
    async for msg in sub.messages:
        if msg.headers["Pelton-Index"] == "end":
            state = json.loads(msg.data)
            break
        results[int(msg.headers["Pelton-Index"])] = json.loads(msg.data)
    await sub.unsubscribe()
    return [results[i] for i in sorted(results)], state


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    requests = [
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        for text in ("Hello", "Tell me a joke")
    ]
    results, state = await parallel_completions(nc.jetstream(), requests, concurrency=4)
    for r in results:
        if r["error"]:
            print(r["index"], "ERR:", r["error"]["class"], r["error"]["message"])
        else:
            print(r["index"], r["response"]["body"]["choices"][0]["message"]["content"])
    print(state["state"], state["counts"])
    await nc.close()


asyncio.run(main())
