import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { CNI_CODES, foreignError, toCniError } from '../../src/cni/error.ts';
import { NetloomError } from '../../src/error.ts';

const ROOT = join(import.meta.dirname, '../..');

test('docs/errors.md and the table of codes agree', (t) => {
  const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  const rows: Record<string, number> = {};
  for (const line of page.split('\n')) {
    const [, code, words] = /^\| (\d+) \| ([^|]*) \|/.exec(line) ?? [];
    for (const [, word = ''] of words?.matchAll(/`([^`]+)`/g) ?? []) rows[word] = Number(code);
  }
  t.deepEqual(rows, { ...CNI_CODES });
});

/** The layers above the plugins. They answer people in words (docs/cli.md), never a runtime. */
const ABOVE_PLUGINS = /^(runtime|inspect|cli)\//;
/** Words of `netloom overlay` and the agent, from a layer below the plugins: no plugin call asks etcd. */
const COMMAND_WORDS = new Set(['no-such-node', 'still-seen', 'unreachable', 'etcd-refused']);

test('every code word that a plugin may answer with has a CNI code', (t) => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !ABOVE_PLUGINS.test(name),
  );
  t.true(files.length > 100, 'the sources were found');
  const missing = files.flatMap((name) => {
    const text = readFileSync(join(ROOT, 'src', name), 'utf8');
    return [...text.matchAll(/new NetloomError\(\s*'([^']+)'/g)]
      .map(([, word = '']) => word)
      .filter((word) => !Object.hasOwn(CNI_CODES, word) && !COMMAND_WORDS.has(word) && !/^E[A-Z0-9]+$/.test(word))
      .map((word) => `${name}: ${word}`);
  });
  t.deepEqual(missing, []);
});

test('an error of ours becomes an object with its code, message, details and hint', (t) => {
  const error = new NetloomError('address-exhausted', 'No address is left', { details: '254 of 254', hint: 'run GC' });
  t.deepEqual(toCniError(error, '1.0.0'), {
    cniVersion: '1.0.0',
    code: 101,
    msg: 'No address is left',
    details: '254 of 254; run GC',
  });
});

test('an error without details has no such key', (t) => {
  t.deepEqual(toCniError(new NetloomError('invalid-json', 'x'), '1.1.0'), { cniVersion: '1.1.0', code: 6, msg: 'x' });
});

test('an errno without a row of its own is 100, an unknown word 999', (t) => {
  t.is(toCniError(new NetloomError('EBUSY', 'x'), '1.1.0').code, 100);
  t.is(toCniError(new NetloomError('EPERM', 'x'), '1.1.0').code, 104);
  t.is(toCniError(new NetloomError('what', 'x'), '1.1.0').code, 999);
  t.is(toCniError(new NetloomError('constructor', 'x'), '1.1.0').code, 999);
});

test('what is not an error of ours is an internal one, without a stack', (t) => {
  const object = toCniError(new TypeError('x is undefined'), '1.1.0');
  t.deepEqual(object, { cniVersion: '1.1.0', code: 999, msg: 'internal error: x is undefined' });
  t.is(toCniError('text', '1.1.0').msg, 'internal error: text');
});

test("another plugin's error passes through unchanged", (t) => {
  t.deepEqual(toCniError(foreignError(11, 'later', 'why'), '0.4.0'), {
    cniVersion: '0.4.0',
    code: 11,
    msg: 'later',
    details: 'why',
  });
  t.deepEqual(toCniError(foreignError(1234, 'x'), '1.1.0'), { cniVersion: '1.1.0', code: 1234, msg: 'x' });
});
