// Hands a job to a running service and prints the answers in input order, each as
// soon as it and all before it are there.
//
//   npm install
//   pelton worker &
//   node run.mjs

import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";

// parallelCompletions publishes one job and yields its results in input order.
// What it returns is the job's final state.
async function* parallelCompletions(nc, requests, options = {}) {
  const js = jetstream(nc);
  const ack = await js.publish("pelton.jobs.default", JSON.stringify({ requests, ...options }));
  const job = options.id ?? `j${ack.seq}`; // a job without an id is named after its place

  const consumer = await js.consumers.get("PELTON_RESULTS", {
    filter_subjects: `pelton.results.default.${job}.>`,
  });
  const early = new Map(); // results before whose turn it is
  let next = 0;
  for await (const m of await consumer.consume()) {
    const index = m.headers.get("Pelton-Index");
    if (index === "end") {
      yield* early.values(); // none, unless the job was ended early
      return m.json();
    }
    early.set(Number(index), m.json());
    for (; early.has(next); next++) {
      yield early.get(next);
      early.delete(next);
    }
  }
}

const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const requests = ["Name the capital of Norway.", "Name the capital of Peru."].map((content) => ({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content }],
}));
const results = parallelCompletions(nc, requests, { concurrency: 4 });
for (;;) {
  const { value, done } = await results.next();
  if (done) {
    console.log(value.state, JSON.stringify(value.counts));
    break;
  }
  if (value.error) {
    console.log(value.index, "failed:", value.error.class, value.error.message);
  } else {
    console.log(value.index, value.response.body.choices[0].message.content);
  }
}
await nc.close();
