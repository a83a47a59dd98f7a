// What happens in a session: turns, streams, tools, and the way back after a broken connection.
import assert from 'node:assert/strict';
import { all, bash, calls, cut, find, flow, newSession, refused, release, say, sessions, text, toolset, turn, until } from './suite.mjs';

flow('send, then stream', async () => {
  const session = await newSession();
  await sessions.events.send(session.id, say('Quick.'));
  const events = await until(await sessions.events.stream(session.id));
  assert.equal(text(find(events, 'agent.message')[0]), 'You said: Quick.');
});

flow('stream, then send', async () => {
  const session = await newSession();
  const events = await turn(session, calls(bash('printf hi')), { event_deltas: ['agent.message', 'agent.thinking'] });
  const types = events.filter((e) => !e.type.startsWith('event_')).map((e) => e.type);
  assert.deepEqual(types, [
    'user.message', 'session.status_running', 'span.model_request_start', 'agent.tool_use', 'span.model_request_end', 'agent.tool_result',
    'span.model_request_start', 'agent.message', 'span.model_request_end', 'session.usage', 'session.status_idle',
  ]);
  const [use] = find(events, 'agent.tool_use');
  assert.deepEqual([use.name, use.input, use.evaluated_permission], ['bash', { command: 'printf hi' }, 'allow']);
  const [result] = find(events, 'agent.tool_result');
  assert.deepEqual([result.tool_use_id, text(result)], [use.id, 'hi']);
  const [message] = find(events, 'agent.message');
  assert.equal(text(message), 'It said: hi');
  const [started] = find(events, 'event_start');
  assert.equal(started.event.id, message.id);
  assert.ok(text(message).startsWith(find(events, 'event_delta').map((e) => e.delta.content.text).join('')));
  assert.equal(events.at(-1).stop_reason.type, 'end_turn');
  assert.equal((await sessions.retrieve(session.id)).status, 'idle');
});

flow('a custom tool', async () => {
  const weather = { type: 'custom', name: 'get_weather', description: 'The weather of a city.', input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } };
  const session = await newSession({ tools: [weather] });
  const asked = await turn(session, calls({ name: 'get_weather', input: { city: 'Oslo' } }));
  const [use] = find(asked, 'agent.custom_tool_use');
  assert.deepEqual(asked.at(-1).stop_reason, { type: 'requires_action', event_ids: [use.id] });
  const answer = { type: 'user.custom_tool_result', custom_tool_use_id: use.id, content: [{ type: 'text', text: 'Rain.' }] };
  const told = await turn(session, { events: [answer] });
  assert.equal(text(find(told, 'agent.message')[0]), 'It said: Rain.');
  await refused(sessions.events.send(session.id, { events: [answer] }), 400, 'invalid_request_error');
});

flow('always_ask', async () => {
  const session = await newSession({ tools: [{ ...toolset, default_config: { permission_policy: { type: 'always_ask' } } }] });
  const asked = await turn(session, calls(bash('printf yes'), bash('printf no')));
  const [first, second] = find(asked, 'agent.tool_use');
  assert.deepEqual([first.evaluated_permission, second.evaluated_permission], ['ask', 'ask']);
  assert.deepEqual(asked.at(-1).stop_reason, { type: 'requires_action', event_ids: [first.id, second.id] });
  const half = await turn(session, { events: [{ type: 'user.tool_confirmation', tool_use_id: first.id, result: 'allow' }] });
  assert.deepEqual(half.at(-1).stop_reason, { type: 'requires_action', event_ids: [second.id] });
  const rest = await turn(session, { events: [{ type: 'user.tool_confirmation', tool_use_id: second.id, result: 'deny', deny_message: 'not that' }] });
  assert.equal(rest.at(-1).stop_reason.type, 'end_turn');
  const results = find(await all(sessions.events.list(session.id)), 'agent.tool_result');
  const of = (use) => text(results.find((r) => r.tool_use_id === use.id));
  assert.equal(of(first), 'yes');
  assert.match(of(second), /not that/);
});

flow('interrupt', async () => {
  const session = await newSession();
  const stream = await sessions.events.stream(session.id);
  await sessions.events.send(session.id, say('hang'));
  let stopped = false;
  for await (const event of stream) {
    if (event.type === 'span.model_request_start') await sessions.events.send(session.id, { events: [{ type: 'user.interrupt' }] });
    if (event.type === 'session.status_idle') {
      assert.equal(event.stop_reason.type, 'end_turn');
      stopped = true;
      break;
    }
  }
  assert.ok(stopped);
  const after = await turn(session, say('And now?'));
  assert.equal(text(find(after, 'agent.message')[0]), 'You said: And now?');
});

flow('more than 1,000 events', async () => {
  const session = await newSession();
  const many = { events: Array.from({ length: 1000 }, (_, i) => say(`Message ${i}`).events[0]) };
  await turn(session, many);
  await turn(session, say('The last.'));
  const forth = (await all(sessions.events.list(session.id, { limit: 300 }))).map((e) => e.id);
  const back = (await all(sessions.events.list(session.id, { order: 'desc' }))).map((e) => e.id);
  assert.ok(forth.length > 1000, `${forth.length} events`);
  assert.equal(new Set(forth).size, forth.length);
  assert.deepEqual(back.toReversed(), forth);
  const messages = await all(sessions.events.list(session.id, { types: ['agent.message'], limit: 1 }));
  assert.equal(text(messages.at(-1)), 'You said: The last.');
});

flow('reconnect in mid-stream', async () => {
  const session = await newSession();
  const stream = await sessions.events.stream(session.id);
  await sessions.events.send(session.id, say('hold'));
  const seen = [];
  const take = (event) => {
    if (!event.processed_at || seen.some((e) => e.id === event.id)) return;
    seen.push(event);
  };
  let broke = false;
  try {
    for await (const event of stream) {
      take(event);
      if (event.type === 'span.model_request_start') await cut();
    }
    broke = true; // the client may take a cut for an end
  } catch {
    broke = true;
  }
  assert.ok(broke && !find(seen, 'session.status_idle').length);
  await release(); // the turn ends while nobody listens
  const again = await sessions.events.stream(session.id);
  for await (const event of sessions.events.list(session.id)) take(event);
  if (!find(seen, 'session.status_idle').length) await until(again, (event) => (take(event), event.type === 'session.status_idle'));
  again.controller.abort();
  const log = await all(sessions.events.list(session.id));
  assert.deepEqual(seen.map((e) => e.id).sort(), log.map((e) => e.id).sort());
  assert.equal(find(seen, 'agent.message').length, 1);
});
