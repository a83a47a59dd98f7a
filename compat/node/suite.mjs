// What the flows share: the client under test, the suite's own address, and small helpers.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.SUITE_MODULES, 'package.json'));
const sdk = require(process.env.SUITE_SDK);

export const { toFile } = sdk;
export const Anthropic = sdk.default;
export const helper = (path) => require(`${process.env.SUITE_SDK}/${path}`);
export const major = Number(process.env.SUITE_SDK.split('-')[1]);
export const model = process.env.SUITE_MODEL;
export const priced = process.env.SUITE_PRICED; // a model of which each call costs two cents

// The client as anybody makes it: its address and key come from the environment.
export const client = new Anthropic();
export const { agents, environments, sessions, vaults, memoryStores, deployments, deploymentRuns } = client.beta;

const suite = (path, method = 'GET') => fetch(process.env.SUITE_URL + path, { method }).then((r) => r.text());
export const cut = () => suite('cut', 'POST');
export const release = () => suite('release', 'POST');
export const count = async (path) => Number(await suite(`count?path=${encodeURIComponent(path)}`));

// webhook makes one for these types of events; message waits for the next message that came to it.
export const webhook = async (...types) => JSON.parse(await suite('webhook?' + types.map((type) => `event=${type}`).join('&'), 'POST'));
export const message = async () => JSON.parse(await suite('message'));

const flows = [];
export const flow = (name, run) => flows.push({ name, run });

export const toolset = { type: 'agent_toolset_20260401' };
export const say = (text) => ({ events: [{ type: 'user.message', content: [{ type: 'text', text }] }] });
export const calls = (...list) => say('calls ' + JSON.stringify(list));
export const bash = (command) => ({ name: 'bash', input: { command } });
export const text = (event) => (event.content ?? []).map((block) => block.text ?? '').join('');
export const newAgent = (more = {}) => agents.create({ name: 'Helper', model, system: 'Be brief.', tools: [toolset], ...more });
export const newEnvironment = (more = {}) => environments.create({ name: 'box', ...more });

export async function newSession(more = {}) {
  const { tools, ...rest } = more;
  const agent = await newAgent(tools ? { tools } : {});
  const environment = await newEnvironment();
  return sessions.create({ agent: agent.id, environment_id: environment.id, ...rest });
}

export async function all(list) {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
}

// until reads a stream to the session's next idle. Input that waited comes twice, with one id: it is kept once.
export async function until(stream, done = (event) => event.type === 'session.status_idle') {
  const events = new Map();
  for await (const event of stream) {
    const id = event.id ?? `preview ${events.size}`;
    events.set(id, event);
    if (done(event)) return [...events.values()];
  }
  throw new Error(`the stream ended behind ${[...events.values()].map((e) => e.type)}`);
}

export const find = (events, type) => events.filter((event) => event.type === type);

// turn sends events to a session and reads what becomes of them.
export async function turn(session, body, params = {}) {
  const stream = await sessions.events.stream(session.id, params);
  await sessions.events.send(session.id, body);
  return until(stream);
}

// refused wants an error of the client with this status and type, and returns it.
export async function refused(promise, status, type) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof Anthropic.APIError, String(error));
    assert.equal(error.status, status, error.message);
    assert.equal(error.error.error.type, type);
    assert.match(error.requestID, /^req_/);
    return error;
  }
  throw new Error(`no error: want ${status} ${type}`);
}

// runAll runs the flows, one behind the other, and prints what became of each as a line of JSON.
export async function runAll() {
  const only = process.env.SUITE_ONLY;
  for (const { name, run } of flows) {
    if (only && !name.includes(only)) continue;
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error('it took longer than 60 s')), 60_000);
    });
    let error = '';
    try {
      await Promise.race([run(), late]);
    } catch (e) {
      error = e?.stack ?? String(e);
    }
    clearTimeout(timer);
    process.stdout.write(JSON.stringify({ flow: name, error }) + '\n');
  }
  process.exit(0); // what a flow that failed left open is of no interest
}
