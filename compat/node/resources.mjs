// What sessions use: files, skills, vaults, memory stores, deployments, and the queue of workers.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { all, client, deploymentRuns, deployments, environments, flow, major, memoryStores, newAgent, newEnvironment, refused, say, sessions, toFile, vaults } from './suite.mjs';

flow('files', async () => {
  const { files } = client.beta;
  const made = await files.upload({ file: await toFile(Buffer.from('hello'), 'a.txt', { type: 'text/plain' }) });
  assert.deepEqual([made.filename, made.mime_type, made.size_bytes], ['a.txt', 'text/plain', 5]);
  const other = await files.upload({ file: await toFile(Buffer.from('x'), 'b.txt') });
  assert.equal((await files.retrieveMetadata(made.id)).id, made.id);
  assert.equal(await (await files.download(made.id)).text(), 'hello');
  const listed = (await all(files.list({ limit: 1 }))).map((f) => f.id);
  assert.ok(listed.indexOf(other.id) < listed.indexOf(made.id) && listed.includes(other.id));
  if (client.files) assert.equal((await client.files.retrieveMetadata(made.id)).filename, 'a.txt');
  const gone = await files.delete(made.id);
  assert.deepEqual([gone.id, gone.type], [made.id, 'file_deleted']);
  await refused(files.retrieveMetadata(made.id), 404, 'not_found_error');
});

flow('skills', async () => {
  const { skills } = client.beta;
  const folder = async (description) => [
    await toFile(Buffer.from(`---\nname: notes\ndescription: ${description}\n---\nWrite notes.\n`), 'notes/SKILL.md'),
    await toFile(Buffer.from('print(1)'), 'notes/scripts/run.py'),
  ];
  const label = major >= 1 ? 'display_name' : 'display_title';
  const made = await skills.create({ [label]: 'Notes', files: await folder('first') });
  assert.equal(made[label], 'Notes');
  const second = await skills.versions.create(made.id, { files: await folder('second') });
  assert.equal(second.description, 'second');
  const reference = second.version ?? second.id;
  const got = await skills.versions.retrieve(reference, { skill_id: made.id });
  assert.equal(got.description, 'second');
  const listed = (await all(skills.versions.list(made.id, { limit: 1 }))).map((v) => v.description);
  assert.deepEqual(listed, ['second', 'first']);
  const zip = Buffer.from(await (await skills.versions.download(reference, { skill_id: made.id })).arrayBuffer());
  assert.equal(zip.subarray(0, 2).toString(), 'PK');
  const packed = await skills.create({ [label]: 'Packed', files: [await toFile(zip, 'notes.zip', { type: 'application/zip' })] });
  const unpacked = (await all(skills.versions.list(packed.id)))[0];
  assert.deepEqual([unpacked.name, unpacked.description], ['notes', 'second']);
  assert.equal((await skills.retrieve(made.id)).id, made.id);
  assert.ok((await all(skills.list({ limit: 1 }))).some((s) => s.id === made.id));
  assert.equal((await skills.versions.delete(reference, { skill_id: made.id })).type, 'skill_version_deleted');
  assert.deepEqual(await skills.delete(packed.id), { id: packed.id, type: 'skill_deleted' });
  await refused(skills.retrieve(packed.id), 404, 'not_found_error');
  await refused(skills.create({ files: [await toFile(Buffer.from('x'), 'notes/README.md')] }), 400, 'invalid_request_error');
});

flow('vaults', async () => {
  const vault = await vaults.create({ display_name: 'Keys', metadata: { a: '1' } });
  const { credentials } = vaults;
  const of = { vault_id: vault.id };
  const bearer = await credentials.create(vault.id, { display_name: 'Tracker', auth: { type: 'static_bearer', mcp_server_url: 'https://tracker.example.com/mcp', token: 'very-secret' } });
  assert.deepEqual(bearer.auth, { type: 'static_bearer', mcp_server_url: 'https://tracker.example.com/mcp' });
  await refused(credentials.create(vault.id, { auth: { type: 'static_bearer', mcp_server_url: 'https://tracker.example.com/mcp', token: 'x' } }), 409, 'conflict_error');
  const variable = await credentials.create(vault.id, { auth: { type: 'environment_variable', secret_name: 'API_KEY', secret_value: 'hidden', networking: { type: 'limited', allowed_hosts: ['api.example.com'] } } });
  assert.deepEqual(variable.auth.injection_location, { header: true, body: true });
  const oauth = await credentials.create(vault.id, { auth: { type: 'mcp_oauth', mcp_server_url: 'https://mail.invalid/mcp', access_token: 'at' } });
  assert.equal((await credentials.mcpOAuthValidate(oauth.id, of)).has_refresh_token, false);
  const renamed = await credentials.update(bearer.id, { ...of, display_name: 'Renamed', auth: { type: 'static_bearer', token: 'newer' } });
  assert.equal(renamed.display_name, 'Renamed');
  assert.ok(!JSON.stringify(await credentials.retrieve(bearer.id, of)).includes('newer'));
  assert.equal((await all(credentials.list(vault.id, { limit: 1 }))).length, 3);
  assert.notEqual((await credentials.archive(variable.id, of)).archived_at, null);
  assert.equal((await credentials.delete(oauth.id, of)).type, 'vault_credential_deleted');
  assert.deepEqual((await vaults.update(vault.id, { display_name: 'Safe', metadata: { a: null, b: '2' } })).metadata, { b: '2' });
  assert.equal((await vaults.retrieve(vault.id)).display_name, 'Safe');
  assert.ok((await all(vaults.list({ limit: 1 }))).some((v) => v.id === vault.id));
  const session = await sessions.create({ agent: (await newAgent()).id, environment_id: (await newEnvironment()).id, vault_ids: [vault.id] });
  assert.deepEqual(session.vault_ids, [vault.id]);
  assert.notEqual((await vaults.archive(vault.id)).archived_at, null);
  assert.equal((await vaults.delete(vault.id)).type, 'vault_deleted');
});

flow('memory stores', async () => {
  const { memories, memoryVersions } = memoryStores;
  const store = await memoryStores.create({ name: 'Facts', description: 'What we know.' });
  const of = { memory_store_id: store.id };
  const hash = (s) => createHash('sha256').update(s).digest('hex');
  const made = await memories.create(store.id, { path: '/people/ada.md', content: 'one' });
  assert.equal(made.content_sha256, hash('one'));
  await memories.create(store.id, { path: '/top.md', content: '' });
  await refused(memories.create(store.id, { path: '/top.md', content: 'x' }), 409, 'memory_path_conflict_error');
  const precondition = { type: 'content_sha256', content_sha256: hash('one') };
  const changed = await memories.update(made.id, { ...of, content: 'two', precondition });
  assert.equal(changed.content_sha256, hash('two'));
  await refused(memories.update(made.id, { ...of, content: 'three', precondition }), 409, 'memory_precondition_failed_error');
  assert.equal((await memories.retrieve(made.id, of)).content, 'two');
  assert.deepEqual((await all(memories.list(store.id, { depth: 1, limit: 1 }))).map((m) => [m.type, m.path]), [['memory_prefix', '/people/'], ['memory', '/top.md']]);
  const versions = await all(memoryVersions.list(store.id, { memory_id: made.id, limit: 1 }));
  assert.deepEqual(versions.map((v) => v.operation), ['modified', 'created']);
  assert.equal((await memoryVersions.retrieve(versions[1].id, of)).content, 'one');
  assert.notEqual((await memoryVersions.redact(versions[1].id, of)).redacted_at, null);
  await refused(memoryVersions.redact(versions[0].id, of), 400, 'invalid_request_error');
  await refused(memories.delete(made.id, { ...of, expected_content_sha256: hash('one') }), 409, 'memory_precondition_failed_error');
  assert.equal((await memories.delete(made.id, { ...of, expected_content_sha256: hash('two') })).type, 'memory_deleted');
  assert.equal((await memoryStores.update(store.id, { name: 'Known' })).name, 'Known');
  assert.equal((await memoryStores.retrieve(store.id)).name, 'Known');
  assert.ok((await all(memoryStores.list({ limit: 1 }))).some((s) => s.id === store.id));
  assert.notEqual((await memoryStores.archive(store.id)).archived_at, null);
  assert.equal((await memoryStores.delete(store.id)).type, 'memory_store_deleted');
});

flow('deployments', async () => {
  const agent = await newAgent();
  const environment = await newEnvironment();
  const made = await deployments.create({
    name: 'Nightly', agent: agent.id, environment_id: environment.id, initial_events: say('Good night.').events,
    schedule: { type: 'cron', expression: '0 3 * * 1-5', timezone: 'Europe/Oslo' },
  });
  assert.deepEqual([made.status, made.agent.version, made.schedule.upcoming_runs_at.length], ['active', 1, 5]);
  assert.equal((await deployments.pause(made.id)).paused_reason.type, 'manual');
  const run = await deployments.run(made.id);
  assert.deepEqual([run.error, run.trigger_context.type], [null, 'manual']);
  assert.equal((await sessions.retrieve(run.session_id)).deployment_id, made.id);
  assert.equal((await deploymentRuns.retrieve(run.id)).session_id, run.session_id);
  assert.deepEqual((await all(deploymentRuns.list({ deployment_id: made.id }))).map((r) => r.id), [run.id]);
  assert.deepEqual((await all(sessions.list({ deployment_id: made.id }))).map((s) => s.id), [run.session_id]);
  assert.equal((await deployments.unpause(made.id)).status, 'active');
  assert.equal((await deployments.update(made.id, { name: 'Weekly', schedule: null })).schedule, null);
  assert.equal((await deployments.retrieve(made.id)).name, 'Weekly');
  assert.ok((await all(deployments.list({ agent_id: agent.id }))).some((d) => d.id === made.id));
  assert.notEqual((await deployments.archive(made.id)).archived_at, null);
  await refused(deployments.run(made.id), 400, 'invalid_request_error');
});

flow('the work queue', async () => {
  const { work } = environments;
  const environment = await newEnvironment({ config: { type: 'self_hosted' } });
  const of = { environment_id: environment.id };
  assert.equal(await work.poll(environment.id, { block_ms: 1 }), null);
  const session = await sessions.create({ agent: (await newAgent()).id, ...of });
  const item = await work.poll(environment.id, { block_ms: 500 });
  assert.deepEqual([item.state, item.data.id], ['queued', session.id]);
  assert.equal((await work.stats(environment.id)).pending, 1);
  assert.equal((await work.ack(item.id, of)).state, 'starting');
  const beat = await work.heartbeat(item.id, { ...of, expected_last_heartbeat: 'NO_HEARTBEAT' });
  assert.deepEqual([beat.state, beat.lease_extended], ['active', true]);
  await refused(work.heartbeat(item.id, { ...of, expected_last_heartbeat: 'NO_HEARTBEAT' }), 412, 'precondition_failed_error');
  assert.equal((await work.heartbeat(item.id, { ...of, expected_last_heartbeat: beat.last_heartbeat })).lease_extended, true);
  assert.deepEqual((await work.update(item.id, { ...of, metadata: { host: 'a' } })).metadata, { host: 'a' });
  assert.equal((await work.retrieve(item.id, of)).state, 'active');
  assert.deepEqual((await all(work.list(environment.id, { limit: 1 }))).map((w) => w.id), [item.id]);
  await work.stop(item.id, { ...of, force: true });
  await refused(work.stop(item.id, of), 409, 'conflict_error');
  assert.equal((await work.retrieve(item.id, of)).state, 'stopped');
});
