// The official client's own worker for self-hosted environments.
import { client, helper } from './suite.mjs';

const { EnvironmentWorker } = helper('helpers/beta/environments');
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
await new EnvironmentWorker({
  client,
  environmentId: process.env.ANTHROPIC_ENVIRONMENT_ID,
  environmentKey: process.env.ANTHROPIC_ENVIRONMENT_KEY,
  workdir: process.env.SUITE_WORKDIR,
  maxIdleMs: 300,
  signal: stop.signal,
}).run();
