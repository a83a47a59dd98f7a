// Agents, environments, sessions, models, and lists of them.
import assert from 'node:assert/strict';
import { agents, all, client, count, environments, flow, model, newAgent, newEnvironment, refused, say, sessions, toolset } from './suite.mjs';

flow('agents', async () => {
  const made = await newAgent({ description: 'Helps.', metadata: { team: 'a', site: 'x' } });
  assert.equal(made.version, 1);
  assert.equal(made.tools[0].default_config.permission_policy.type, 'always_allow');
  const merged = await agents.update(made.id, { version: 1, metadata: { team: 'b', site: null } });
  assert.equal(merged.version, 2);
  assert.equal(merged.system, 'Be brief.');
  assert.deepEqual(merged.metadata, { team: 'b' });
  const cleared = await agents.update(made.id, { version: 2, system: null, tools: [], description: '' });
  assert.equal(cleared.version, 3);
  assert.equal(cleared.system, null);
  assert.deepEqual(cleared.tools, []);
  const same = await agents.update(made.id, { version: 3, name: 'Helper' });
  assert.equal(same.version, 3);
  assert.equal((await agents.retrieve(made.id)).version, 3);
  assert.equal((await agents.retrieve(made.id, { version: 1 })).system, 'Be brief.');
  assert.deepEqual((await all(agents.versions.list(made.id, { limit: 2 }))).map((a) => a.version), [3, 2, 1]);
  const archived = await agents.archive(made.id);
  assert.notEqual(archived.archived_at, null);
  await refused(agents.update(made.id, { version: 3, name: 'Other' }), 400, 'invalid_request_error');
  assert.ok(!(await all(agents.list({ limit: 100 }))).some((a) => a.id === made.id));
  assert.ok((await all(agents.list({ limit: 100, include_archived: true }))).some((a) => a.id === made.id));
});

flow('a stale version', async () => {
  const made = await newAgent();
  await agents.update(made.id, { version: 1, name: 'Second' });
  const before = await count(`/v1/agents/${made.id}`);
  await refused(agents.update(made.id, { version: 1, name: 'Third' }), 409, 'conflict_error');
  assert.equal((await count(`/v1/agents/${made.id}`)) - before, 1, 'requests of an update that cannot work');
});

flow('lists while others insert', async () => {
  const old = [];
  for (let i = 0; i < 5; i++) old.unshift((await newAgent({ name: `Listed ${i}` })).id);
  const seen = [];
  let page = await agents.list({ limit: 2 });
  for (;;) {
    seen.push(...page.data.map((a) => a.id));
    await newAgent({ name: 'Inserted' });
    if (!page.hasNextPage()) break;
    page = await page.getNextPage();
  }
  assert.equal(new Set(seen).size, seen.length, 'an agent came twice');
  assert.deepEqual(seen.filter((id) => old.includes(id)), old);
});

flow('environments', async () => {
  const made = await newEnvironment({ description: 'A box.', metadata: { a: '1', b: '2' }, config: { type: 'cloud', networking: { type: 'limited', allowed_hosts: ['example.com'] } } });
  assert.equal(made.config.networking.allow_mcp_servers, false);
  assert.deepEqual(made.config.packages.pip, []);
  const changed = await environments.update(made.id, { name: 'crate', metadata: { a: null } });
  assert.equal(changed.name, 'crate');
  assert.deepEqual(changed.metadata, { b: '2' });
  assert.deepEqual(changed.config, made.config);
  assert.deepEqual(await environments.retrieve(made.id), changed);
  assert.ok((await all(environments.list({ limit: 2 }))).some((e) => e.id === made.id));
  assert.notEqual((await environments.archive(made.id)).archived_at, null);
  assert.deepEqual(await environments.delete(made.id), { id: made.id, type: 'environment_deleted' });
  await refused(environments.retrieve(made.id), 404, 'not_found_error');
});

flow('sessions', async () => {
  const agent = await newAgent();
  await agents.update(agent.id, { version: 1, system: 'Be long.' });
  const environment = await newEnvironment();
  const base = { environment_id: environment.id };
  const newest = await sessions.create({ ...base, agent: agent.id, title: 'One', metadata: { k: 'v' } });
  assert.equal(newest.status, 'idle');
  assert.equal(newest.agent.version, 2);
  const pinned = await sessions.create({ ...base, agent: { type: 'agent', id: agent.id, version: 1 } });
  assert.equal(pinned.agent.system, 'Be brief.');
  const overridden = await sessions.create({ ...base, agent: { type: 'agent_with_overrides', id: agent.id, system: 'Be kind.', tools: [] } });
  assert.equal(overridden.agent.system, 'Be kind.');
  assert.deepEqual(overridden.agent.tools, []);
  assert.equal((await agents.retrieve(agent.id)).system, 'Be long.');
  const begun = await sessions.create({ ...base, agent: agent.id, initial_events: say('Hello').events });
  assert.equal(begun.status, 'running');

  const updated = await sessions.update(newest.id, { title: 'Two', metadata: { k: null, l: 'w' } });
  assert.equal(updated.title, 'Two');
  assert.deepEqual(updated.metadata, { l: 'w' });
  const ids = [newest, pinned, overridden, begun].map((s) => s.id);
  const listed = async (query) => (await all(sessions.list({ agent_id: agent.id, limit: 2, ...query }))).map((s) => s.id);
  assert.deepEqual(await listed({ order: 'asc' }), ids);
  assert.deepEqual(await listed({}), ids.toReversed());
  assert.deepEqual(await listed({ agent_version: 1 }), [pinned.id]);
  assert.ok((await listed({ statuses: ['idle'] })).includes(newest.id));
  await refused(environments.delete(environment.id), 409, 'conflict_error');

  const archived = await sessions.archive(newest.id);
  assert.equal(archived.status, 'terminated');
  await refused(sessions.events.send(newest.id, say('Hello?')), 400, 'invalid_request_error');
  assert.ok(!(await listed({})).includes(newest.id));
  assert.deepEqual(await sessions.delete(pinned.id), { id: pinned.id, type: 'session_deleted' });
  await refused(sessions.retrieve(pinned.id), 404, 'not_found_error');
});

flow('models', async () => {
  const list = await all(client.beta.models.list({ limit: 1000 }));
  assert.ok(list.some((m) => m.id === model));
  assert.ok((await client.models.list({ limit: 2 })).data.length === 2);
  assert.equal((await client.beta.models.retrieve(model)).id, model);
});

flow('errors', async () => {
  await refused(agents.retrieve('agent_011CZkYpogX7uDKUyvBTophP'), 404, 'not_found_error');
  await refused(agents.create({ name: '', model, tools: [toolset] }), 400, 'invalid_request_error');
  const stranger = client.withOptions({ apiKey: 'sk-ant-wrong' });
  await refused(stranger.beta.agents.list(), 401, 'authentication_error');
});
