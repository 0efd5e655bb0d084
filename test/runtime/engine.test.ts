/** Requests to an engine over its socket, even to one that accepts the request and never answers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { NetloomError } from '../../src/error.ts';
import { get } from '../../src/runtime/engine/http.ts';
import { makeRoot } from '../support/host.ts';

const { path, remove } = makeRoot();
const socket = join(path, 'engine.sock');
const containers = { app: { Id: 'a'.repeat(64) }, silent: { silent: true }, half: { raw: 'HTTP/1.0 200 OK\r\n' } };
let engine: ReturnType<typeof spawn>;

test.before(async () => {
  const script = fileURLToPath(new URL('../cli/fake-engine.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, socket, JSON.stringify(containers)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  engine = child;
  await once(child.stdout, 'data');
});

test.after.always(() => {
  engine?.kill('SIGKILL');
  remove();
});

test('an answer has a status and JSON', (t) => {
  t.deepEqual(get('docker', socket, '/containers/app/json'), { status: 200, json: containers.app });
  t.deepEqual(get('docker', socket, '/containers/other/json'), {
    status: 404,
    json: { message: 'No such container: other' },
  });
});

test('an engine that says nothing is waited for, and then told of', (t) => {
  const error = t.throws(() => get('docker', socket, '/containers/silent/json', 200), {
    message: `docker does not answer on "${socket}"`,
  });
  t.like(error, { code: 'engine-no-answer', details: 'nothing came in 0.2 s' });
});

test('half an answer is none', (t) => {
  t.throws(() => get('docker', socket, '/containers/half/json'), {
    message: /is not HTTP/,
  });
});

test('nobody at the socket, and a path that is too long for one', (t) => {
  const details = (at: string) => (t.throws(() => get('docker', at, '/')) as Partial<NetloomError>).details ?? '';
  t.regex(details(join(path, 'none.sock')), /ENOENT/);
  t.regex(details(`/${'a'.repeat(200)}`), /its path is too long for a socket/);
});
