import test from 'ava';
import { parseArgs } from '../../src/cni/args.ts';

const INVALID = { code: 'invalid-args' };

test('known keys are read', (t) => {
  const args = parseArgs('IP=10.0.0.2;GATEWAY=10.0.0.1', ['IP', 'GATEWAY']);
  t.deepEqual(
    [...args],
    [
      ['IP', '10.0.0.2'],
      ['GATEWAY', '10.0.0.1'],
    ],
  );
});

test('no text, no args', (t) => {
  t.is(parseArgs('', ['IP']).size, 0);
});

test('an unknown key is refused', (t) => {
  t.throws(() => parseArgs('IP=10.0.0.2;FOO=1;BAR=2', ['IP']), {
    ...INVALID,
    message: 'ARGS: unknown args ["FOO=1" "BAR=2"], expected IP or IgnoreUnknown=1',
  });
});

for (const value of ['1', 'true', 'True', 'TRUE']) {
  test(`IgnoreUnknown=${value} lets unknown keys pass, wherever it stands`, (t) => {
    const args = parseArgs(`K8S_POD_NAME=a;IP=10.0.0.2;IgnoreUnknown=${value}`, ['IP']);
    t.deepEqual([...args.keys()], ['IP']);
  });
}

test('IgnoreUnknown may be false, but not anything', (t) => {
  t.throws(() => parseArgs('IgnoreUnknown=0;FOO=1', []), { ...INVALID, message: /unknown args/ });
  t.throws(() => parseArgs('IgnoreUnknown=yes', []), { ...INVALID, message: /invalid pair "IgnoreUnknown=yes"/ });
});

for (const text of ['IP', 'IP=a=b', ';', 'IP=10.0.0.2;']) {
  test(`not pairs: ${text}`, (t) => {
    t.throws(() => parseArgs(text, ['IP']), { ...INVALID, message: /^ARGS: invalid pair / });
  });
}

test('keys match exactly, and the last of several wins', (t) => {
  t.throws(() => parseArgs('ip=10.0.0.2', ['IP']), INVALID);
  t.is(parseArgs('IP=1;IP=2', ['IP']).get('IP'), '2');
});
