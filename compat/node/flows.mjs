// The flows of the suite with the official client for Node.
import './definitions.mjs';
import './conversations.mjs';
import './resources.mjs';
import './teams.mjs';
import { runAll } from './suite.mjs';

await runAll();
