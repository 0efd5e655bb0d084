/**
 * Waiting and ordering must not depend on a clock that can be set: if it were set back by an hour while a call waits
 * for a link, the call would wait for an hour.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

/** Modules that tell people the time, and one that needs a unique number. */
const TELLING = [
  'agent/agent.ts',
  'agent/log.ts',
  'agent/metrics.ts',
  'cni/serve.ts',
  'inspect/take.ts',
  'ipam/host-local/lease-directory.ts',
];

test('no clock that somebody can set decides anything', (t) => {
  const folder = fileURLToPath(new URL('../../src', import.meta.url));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const asking = files.filter((name) => /\bDate\b/.test(readFileSync(join(folder, name), 'utf8')));
  t.deepEqual(asking.sort(), TELLING);
});
