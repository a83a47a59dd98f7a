// Sessions with more to them: teams, resources, budgets, outcomes, and what webhooks tell of them.
import assert from 'node:assert/strict';
import { agents, all, bash, calls, client, find, flow, memoryStores, message, newAgent, newEnvironment, newSession, priced, refused, say, sessions, text, toFile, turn, until, webhook } from './suite.mjs';

flow('teams', async () => {
  const mate = await newAgent({ name: 'Mate', description: 'Counts.' });
  const lead = await newAgent({ name: 'Lead', multiagent: { type: 'coordinator', agents: [{ type: 'agent', id: mate.id }, { type: 'self' }] } });
  assert.deepEqual(lead.multiagent.agents.map((a) => a.id), [mate.id, lead.id]);
  const session = await sessions.create({ agent: lead.id, environment_id: (await newEnvironment()).id });
  const of = { session_id: session.id };
  const events = await turn(session, calls({ name: 'spawn_agent', input: { agent: 'Mate', message: 'One, two.' } }));
  const [created] = find(events, 'session.thread_created');
  assert.equal(created.agent_name, 'Mate');
  const [primary, child] = await all(sessions.threads.list(session.id));
  assert.deepEqual([primary.parent_thread_id, child.parent_thread_id, child.id], [null, primary.id, created.session_thread_id]);
  assert.equal((await sessions.threads.retrieve(child.id, of)).agent.name, 'Mate');
  const log = await all(sessions.threads.events.list(child.id, { ...of, limit: 2 }));
  assert.match(text(find(log, 'agent.message')[0]), /One, two\./);
  const [report] = find(events, 'agent.thread_message_received');
  assert.deepEqual([report.from_session_thread_id, report.from_agent_name], [child.id, 'Mate']);

  const stream = await sessions.threads.events.stream(child.id, of);
  await sessions.events.send(session.id, calls({ name: 'send_to_agent', input: { thread: child.id, message: 'Three.' } }));
  const heard = await until(stream, (event) => event.type === 'agent.message' && text(event).includes('Three.'));
  assert.ok(find(heard, 'session.thread_status_running').length > 0 || find(heard, 'span.model_request_start').length > 0);
  for (let status = ''; status !== 'idle'; ) status = (await sessions.retrieve(session.id)).status;
  assert.notEqual((await sessions.threads.archive(child.id, of)).archived_at, null);
});

flow('session resources', async () => {
  const upload = (name, body) => toFile(Buffer.from(body), name, { type: 'text/plain' }).then((file) => client.beta.files.upload({ file }));
  const [first, second] = [await upload('a.txt', 'alpha'), await upload('b.txt', 'beta')];
  const store = await memoryStores.create({ name: 'Team facts' });
  await memoryStores.memories.create(store.id, { path: '/one.md', content: 'remembered' });
  const session = await newSession({ resources: [
    { type: 'file', file_id: first.id, mount_path: 'a.txt' },
    { type: 'memory_store', memory_store_id: store.id, access: 'read_write', instructions: 'Look here.' },
    { type: 'github_repository', url: 'https://github.com/example/never-cloned', authorization_token: 'secret-token', mount_path: '/workspace/code' },
  ] });
  const of = { session_id: session.id };
  assert.ok(!JSON.stringify(session).includes('secret-token'));
  const repository = session.resources.find((r) => r.type === 'github_repository');
  assert.equal((await sessions.resources.update(repository.id, { ...of, authorization_token: 'newer-token' })).id, repository.id);
  assert.equal((await sessions.resources.delete(repository.id, of)).type, 'session_resource_deleted');
  const added = await sessions.resources.add(session.id, { type: 'file', file_id: second.id, mount_path: 'b.txt' });
  assert.equal((await sessions.resources.retrieve(added.id, of)).mount_path, '/mnt/session/uploads/b.txt');
  const listed = await all(sessions.resources.list(session.id));
  assert.deepEqual(listed.map((r) => r.type).sort(), ['file', 'file', 'memory_store']);
  const mount = listed.find((r) => r.type === 'memory_store').mount_path;
  const events = await turn(session, calls(bash(`cat /mnt/session/uploads/a.txt /mnt/session/uploads/b.txt ${mount}/one.md; printf new > ${mount}/two.md; printf made > /mnt/session/outputs/c.txt`)));
  assert.equal(text(find(events, 'agent.message')[0]), 'It said: alphabetaremembered');
  const versions = await all(memoryStores.memoryVersions.list(store.id, { session_id: session.id }));
  assert.deepEqual(versions.map((v) => [v.path, v.created_by.session_id]), [['/two.md', session.id]]);
  const outputs = await all(client.beta.files.list({ scope_id: session.id }));
  const made = outputs.find((f) => f.filename === 'c.txt');
  assert.equal(await (await client.beta.files.download(made.id)).text(), 'made');
  assert.deepEqual((await all(sessions.list({ memory_store_id: store.id }))).map((s) => s.id), [session.id]);
});

flow('budgets', async () => {
  const cents = (amount) => ({ type: 'limit', max_list_cost: { amount, currency: 'USD' } });
  const base = { environment_id: (await newEnvironment()).id };
  await refused(sessions.create({ ...base, agent: (await newAgent()).id, budget: cents('1') }), 400, 'invalid_request_error'); // it has no prices
  const session = await sessions.create({ ...base, agent: (await newAgent({ model: priced })).id, budget: cents('1') });
  assert.deepEqual(session.budget, cents('1'));
  const spent = await turn(session, calls(bash('printf hi')));
  assert.equal(spent.at(-1).stop_reason.type, 'budget_reached');
  const usage = find(spent, 'session.usage').at(-1);
  assert.deepEqual([usage.usage.list_cost, usage.budget], [{ amount: '2', currency: 'USD' }, cents('1')]);
  await refused(sessions.events.send(session.id, say('Go on.')), 400, 'invalid_request_error');
  const stream = await sessions.events.stream(session.id);
  assert.deepEqual((await sessions.update(session.id, { budget: cents('100') })).budget, cents('100'));
  const rest = await until(stream, (event) => event.type === 'session.status_idle' && event.stop_reason.type === 'end_turn');
  assert.equal(text(find(rest, 'agent.message').at(-1)), 'It said: hi');
  assert.equal((await sessions.update(session.id, { budget: null })).budget, null);
  await refused(sessions.update(session.id, { budget: cents('5') }), 400, 'invalid_request_error');
});

flow('outcomes', async () => {
  const session = await newSession();
  const outcome = { type: 'user.define_outcome', description: 'A greeting.', rubric: { type: 'text', content: 'It is in verse.' }, max_iterations: 5 };
  const stream = await sessions.events.stream(session.id);
  const { data: [defined] } = await sessions.events.send(session.id, { events: [outcome] });
  const events = await until(stream);
  const ends = find(events, 'span.outcome_evaluation_end');
  assert.deepEqual(ends.map((e) => [e.iteration, e.result]), [[0, 'needs_revision'], [1, 'satisfied']]);
  assert.ok(ends.every((e) => e.outcome_id === defined.outcome_id));
  const [evaluation] = (await sessions.retrieve(session.id)).outcome_evaluations;
  assert.deepEqual([evaluation.outcome_id, evaluation.result, evaluation.iteration], [defined.outcome_id, 'satisfied', 1]);
});

flow('an agent with skills', async () => {
  const file = await toFile(Buffer.from('---\nname: haiku\ndescription: Writes haiku.\n---\nFive, seven, five.\n'), 'haiku/SKILL.md');
  const skill = await client.beta.skills.create({ files: [file] });
  const agent = await newAgent({ skills: [{ type: 'custom', skill_id: skill.id }] });
  const session = await sessions.create({ agent: agent.id, environment_id: (await newEnvironment()).id });
  const events = await turn(session, calls(bash('tail -1 /mnt/skills/haiku/SKILL.md')));
  assert.equal(text(find(events, 'agent.message')[0]), 'It said: Five, seven, five.');
});

flow('webhooks', async () => {
  const { secret } = await webhook('agent.created', 'agent.archived');
  const made = await newAgent();
  await agents.archive(made.id);
  const heard = [];
  while (heard.length < 2) {
    const { headers, body } = await message();
    const event = client.beta.webhooks.unwrap(body, { headers, key: secret });
    assert.equal(event.type, 'event');
    if (event.data.id === made.id) heard.push(event.data.type);
    assert.throws(() => client.beta.webhooks.unwrap(body + ' ', { headers, key: secret }));
  }
  assert.deepEqual(heard.sort(), ['agent.archived', 'agent.created']);
});
