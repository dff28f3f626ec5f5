// OpenAI's Node SDK as it is, against the gateway at BASE_URL.
import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';
import { VERSION } from 'openai/version';

const client = (apiKey) => new OpenAI({ baseURL: process.env.BASE_URL + '/v1', apiKey, maxRetries: 0 });
const ours = client('owner'), theirs = client('other');

const line = (custom_id, text, mock) => JSON.stringify({
  custom_id, method: 'POST', url: '/v1/chat/completions',
  body: { model: 'm', messages: [{ role: 'user', content: text }], ...(mock && { mock }) },
}) + '\n';
const upload = async (c, text) => c.files.create({ file: await toFile(Buffer.from(text), 'requests.jsonl'), purpose: 'batch' });
const create = (c, input_file_id, more = {}, options) =>
  c.batches.create({ input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h', ...more }, options);
const wait = async (batch, status) => {
  for (let i = 0; i < 1200; i++) {
    batch = await ours.batches.retrieve(batch.id);
    if (batch.status === status) return batch;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail(`${batch.id} is ${batch.status}, not ${status}`);
};
const refused = async (kind, promise, members = {}) => {
  const error = await promise.then(() => assert.fail(`no ${kind.name}`), (e) => e);
  assert.ok(error instanceof kind, `${error}`);
  for (const [name, want] of Object.entries(members)) assert.equal(error[name], want);
};
const lines = (text) => text.trim().split('\n').map((l) => JSON.parse(l));

const n = 20;
const text = Array.from({ length: n }, (_, i) => line(`request-${i}`, `${i}`)).join('') + line('bad', 'x', { status: 400 });
const f = await upload(ours, text);
assert.equal(f.bytes, text.length);
assert.equal(f.filename, 'requests.jsonl');
assert.equal(await (await ours.files.content(f.id)).text(), text);

let b = await create(ours, f.id, { metadata: { team: 'search' } });
assert.equal(b.metadata.team, 'search');
b = await wait(b, 'completed');
assert.deepEqual(b.request_counts, { total: n + 1, completed: n, failed: 1 });
const output = lines(await (await ours.files.content(b.output_file_id)).text());
assert.deepEqual(output.map((l) => l.custom_id), Array.from({ length: n }, (_, i) => `request-${i}`));
assert.equal(output[3].response.body.choices[0].message.content, 'You said: 3');
assert.deepEqual(lines(await (await ours.files.content(b.error_file_id)).text()).map((l) => l.custom_id), ['bad']);

for (let i = 0; i < 4; i++) await create(ours, f.id);
const ids = [];
for await (const batch of ours.batches.list({ limit: 2 })) ids.push(batch.id);
assert.ok(ids.length >= 5 && ids.includes(b.id), `${ids}`);
const files = [];
for await (const file of ours.files.list({ limit: 1, purpose: 'batch' })) files.push(file.id);
assert.ok(files.includes(f.id));
const models = [];
for await (const model of ours.models.list()) models.push(model.id);
assert.deepEqual(models, ['m', 'org/model']);

const once = { headers: { 'Idempotency-Key': 'node' } };
assert.equal((await create(ours, f.id, {}, once)).id, (await create(ours, f.id, {}, once)).id);

b = await create(ours, (await upload(ours, line('stuck', 'x', { latency_ms: 60000 }))).id);
assert.ok(['cancelling', 'cancelled'].includes((await ours.batches.cancel(b.id)).status));
b = await wait(b, 'cancelled');

b = await wait(await create(ours, (await upload(ours, line('a', 'x') + '{oops\n')).id), 'failed');
assert.equal(b.errors.data[0].line, 2);
b = await wait(await create(ours, f.id, { endpoint: '/v1/embeddings' }), 'failed');
assert.equal(b.errors.data[0].param, 'url');
await refused(OpenAI.BadRequestError, create(ours, f.id, { endpoint: '/v1/images/edits' }), { param: 'endpoint' });
await refused(OpenAI.BadRequestError, create(ours, 'file-none'), { param: 'input_file_id' });
await refused(OpenAI.NotFoundError, ours.files.retrieve('file-none'));
await refused(OpenAI.NotFoundError, ours.batches.retrieve('batch_none'));
await refused(OpenAI.NotFoundError, theirs.files.retrieve(f.id));
await refused(OpenAI.NotFoundError, theirs.batches.retrieve(b.id));
await refused(OpenAI.BadRequestError, create(theirs, f.id), { param: 'input_file_id' });
await refused(OpenAI.PermissionDeniedError, upload(client('reader'), 'x'));
await refused(OpenAI.AuthenticationError, client('wrong').batches.list(), { code: 'invalid_api_key' });

assert.deepEqual(await ours.files.delete(f.id), { id: f.id, object: 'file', deleted: true });
await refused(OpenAI.NotFoundError, ours.files.retrieve(f.id));
console.log('openai', VERSION, 'ok');
