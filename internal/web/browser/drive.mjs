// Drives the worker's page in headless Chromium, with the real binary behind it:
// a mock upstream, a worker, jobs that are submitted by the command. It fails when
// a step does not come, when the page asks another host for anything, when the
// console has an error, and when axe finds a serious fault.
//
//   PELTON=bin/pelton CHROMIUM=/usr/bin/chromium node drive.mjs [directory for screenshots]
import assert from "node:assert/strict";
import { spawn, execFile } from "node:child_process";
import { mkdtemp, readFile, rm, mkdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const pelton = process.env.PELTON;
const token = "a token for the page's own test";
const patience = 60_000;
const shots = process.argv[2];
const work = await mkdtemp(join(tmpdir(), "pelton-page-"));
const children = [];
let browser;

// Those that the documentation shows.
const kept = new Set(["jobs-light", "job-dark", "failures-light", "job-390-light", "failures-390-dark", "request-light", "deployments-light", "workers-390-dark"]);

const step = (text) => console.log("· " + text);

function start(name, args, env) {
  const child = spawn(pelton, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (data) => { said += data; });
  child.on("exit", (code) => { if (code) console.error(`${name} ended with ${code}:\n${said}`); });
  children.push(child);
  return child;
}

async function until(what, look) {
  for (const late = Date.now() + patience; Date.now() < late; ) {
    const found = await look().catch(() => undefined);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("does not come: " + what);
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
}

const run = (args, env) => promisify(execFile)(pelton, args, { env: { ...process.env, ...env } });

async function main() {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  start("mock", ["mock", "--addr", "127.0.0.1:0", "--latency", "400ms", "--url-file", join(work, "mock")]);
  const upstream = (await until("the mock", () => readFile(join(work, "mock"), "utf8"))).trim();
  const origin = `http://127.0.0.1:${await freePort()}`;
  const worker = start("worker", ["worker", "--listen", "127.0.0.1:0", "--url-file", join(work, "nats"), "--name", "worker-1", "--slots", "32"], {
    OPENAI_BASE_URL: upstream, OPENAI_API_KEY: "none", PELTON_STORE_DIR: join(work, "store"),
    PELTON_HTTP_ADDR: origin.slice("http://".length), PELTON_HTTP_TOKEN: token, NATS_URL: "",
  });
  const nats = { NATS_URL: (await until("the worker", () => readFile(join(work, "nats"), "utf8"))).trim() };

  const submit = async (id, requests, more = {}) => {
    const file = join(work, id + ".json");
    await writeFile(file, JSON.stringify({ id, requests, ...more }));
    await run(["submit", file], nats);
  };
  const chat = (text, mock) => ({ model: "gpt-4o-mini", messages: [{ role: "user", content: text }], ...(mock && { mock }) });

  const settings = {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, viewport: { width: 1280, height: 800 },
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  };
  browser = await chromium.launchPersistentContext(join(work, "profile"), settings);
  const page = browser.pages()[0] ?? await browser.newPage();
  page.setDefaultTimeout(patience);
  const strangers = [], faults = [];
  let loads = 0, expected = 0;
  browser.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) strangers.push(request.url());
    if (request.isNavigationRequest()) loads++;
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    // The browser reports a refusal that a step asks for as an error.
    if (expected > 0 && /status of 401/.test(message.text())) { expected--; return; }
    faults.push(message.text());
  });

  const serious = async (where) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
    assert.deepEqual(bad.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), [], `axe on ${where}`);
  };
  const look = async (name, where = name) => {
    for (const [shade, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
      await page.emulateMedia({ colorScheme: shade, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: width === 390 ? 844 : 800 });
      await serious(`${where}, ${shade}, ${width} px`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${where} is ${wide} px too wide at ${width} px`);
      if (shots && kept.has(`${name}-${width === 390 ? "390-" : ""}${shade}`)) {
        await mkdir(shots, { recursive: true });
        const kind = width === 390 ? `390-${shade}` : shade;
        await page.screenshot({ path: join(shots, `page-${name}-${kind}.png`) });
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 800 });
  };

  step("the list shows a job that is submitted, without a reload");
  await page.goto(origin + "/");
  await page.getByText("There is no job yet").waitFor();
  loads = 0;
  await submit("nightly-42", Array.from({ length: 4000 }, (_, i) => chat("question " + i)), { concurrency: 4 });
  await page.getByRole("link", { name: "nightly-42" }).waitFor();
  const bar = page.getByRole("progressbar", { name: "Done of nightly-42" });
  await until("progress in the list", async () => Number(await bar.getAttribute("value")) > 0);
  assert.equal(loads, 0, "the list was loaded again");

  step("its progress moves, without a reload");
  await page.getByRole("link", { name: "nightly-42" }).click();
  await page.getByRole("heading", { name: "nightly-42" }).waitFor();
  loads = 0;
  const progress = page.getByRole("progressbar", { name: "Done", exact: true });
  const before = Number(await progress.getAttribute("value"));
  await page.getByLabel("Custom id").fill("being typed");
  await until("progress", async () => Number(await progress.getAttribute("value")) >= before + 8);
  assert.equal(loads, 0, "the job was loaded again");
  assert.equal(await page.getByLabel("Custom id").inputValue(), "being typed", "what was typed is gone");
  assert.ok(await page.getByLabel("Custom id").evaluate((e) => e === document.activeElement), "the focus is gone");
  await look("job", "a running job");

  step("cancel is refused without the token");
  assert.equal(await page.getByRole("button", { name: "Cancel" }).count(), 0);
  expected++;
  const refused = await page.evaluate(() => fetch("/jobs/default/nightly-42/cancel", { method: "POST" }).then((r) => r.status));
  assert.equal(refused, 401);
  assert.match((await run(["status", "nightly-42"], nats)).stdout, /running/);

  step("a wrong token is refused");
  await page.getByRole("link", { name: "Sign in to cancel" }).click();
  await page.getByLabel("Token").fill("another token, and long");
  expected++;
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("That is not the worker's token").waitFor();
  await serious("sign in");

  step("cancel works with it");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByPlaceholder("why").fill("wrong prompts");
  await page.getByRole("button", { name: "Cancel the job" }).click();
  await page.locator("#state-now", { hasText: "cancelled" }).waitFor();
  await page.getByText("wrong prompts").first().waitFor();
  assert.match((await run(["status", "nightly-42"], nats)).stdout, /cancelled/);

  step("a failed request's attempts are shown");
  await submit("mixed", [
    { custom_id: "good", body: chat("hello") },
    { custom_id: "bad", body: chat("again and again", { status: 500, code: "server_is_down" }) },
    { custom_id: "refused", body: chat("not this", { status: 400, code: "bad_thing" }) },
  ], { timeout: "30s" });
  await page.goto(origin + "/jobs/default/mixed");
  await page.locator("#state-now", { hasText: "completed with errors" }).waitFor();
  await page.goto(origin + "/jobs/default/mixed");
  await look("failures", "a job with failures");
  await page.getByLabel("Status").selectOption("failed");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("2 found").waitFor();
  await page.goto(origin + "/jobs/default/mixed?custom_id=bad");
  await page.getByText("1 found").waitFor();
  await page.getByRole("link", { name: "1", exact: true }).last().click();
  await page.getByRole("heading", { name: "Attempts" }).waitFor();
  const attempts = page.getByRole("region", { name: "Attempts" }).locator("tbody tr");
  assert.ok(await attempts.count() >= 2, "a failure that may pass is tried again");
  assert.match(await attempts.first().innerText(), /500[\s\S]* ms[\s\S]*server_is_down/);
  await look("request", "a failed request");

  step("retry makes a new job");
  await page.goto(origin + "/jobs/default/mixed");
  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("link", { name: "mixed" }).waitFor();

  step("the results are downloaded");
  await page.goto(origin + "/jobs/default/mixed");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
  const lines = (await readFile(await download.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => line.custom_id), ["good", "bad", "refused"]);

  step("deployments and workers");
  await page.goto(origin + "/deployments");
  await page.getByText("Seen by 1 worker;").waitFor();
  await look("deployments");
  await page.goto(origin + "/workers");
  await page.getByText("worker-1").waitFor();
  await look("workers");
  await page.goto(origin + "/");
  await page.getByRole("link", { name: "mixed" }).first().waitFor();
  await look("jobs");

  step("by the keyboard alone");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");

  step("without a script");
  const plain = await chromium.launchPersistentContext(join(work, "plain"), { ...settings, javaScriptEnabled: false });
  try {
    const still = plain.pages()[0] ?? await plain.newPage();
    await still.goto(origin + "/jobs/default/mixed?status=failed");
    await still.getByText("2 found").waitFor();
  } finally {
    await plain.close();
  }

  assert.deepEqual(strangers, [], "the page asked another host");
  assert.deepEqual(faults, [], "errors in the console");
  step("nothing left this machine, and the console is clean");
  worker.kill("SIGINT");
}

try {
  await main();
  console.log("passed");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser?.close().catch(() => {});
  for (const child of children) {
    if (child.exitCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGINT");
      child.kill("SIGINT");
      await ended;
    }
  }
  await rm(work, { recursive: true, force: true });
}
