/** netloom-cni as a process: what a runtime may do to it before its first line runs. */
import { spawnSync } from 'node:child_process';
import test from 'ava';
import { linksTo } from '../support/engine-links.ts';
import { becomeHost } from '../support/host.ts';
import { Lab, type Output } from '../support/lab.ts';

becomeHost();

const RANGES = { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }]] };
const HOST_LOCAL = { cniVersion: '1.1.0', name: 'net', type: 'host-local', ipam: RANGES };
const TARGET = { containerId: 'c1', netns: '/nonexistent' };

/** A wrapper: shell commands that run before the plugin. They end with `exec`, which starts it. */
const after = (what: string) => ['sh', '-c', `${what} "$0" "$@"`];

for (const limit of [256, 512, 8192, 'unlimited']) {
  test.serial(
    `JSON of a hundred thousand levels is an error with a stack of ${limit}${limit === 'unlimited' ? '' : ' KB'}`,
    (t) => {
      const lab = new Lab(t);
      const options = { bin: linksTo(lab.root, 'netloom-cni'), wrap: after(`ulimit -s ${limit} && exec`) };
      const levels = '['.repeat(1e5) + ']'.repeat(1e5);
      const stdin = `{"cniVersion": "1.1.0", "name": "net", "x": ${levels}}`;
      const { status, signal, output } = lab.exec('ADD', HOST_LOCAL, TARGET, { ...options, stdin });
      t.is(signal, null);
      t.is(output.msg, 'error unmarshall network config: it is nested too deeply');
      t.deepEqual([status, output.code], [1, 6]);
      t.is(lab.exec('ADD', HOST_LOCAL, TARGET, options).status, 0, 'an ordinary call has room');
    },
  );
}

test.serial('without memory there is an error that a runtime can read', (t) => {
  const lab = new Lab(t);
  const options = { bin: linksTo(lab.root, 'netloom-cni'), wrap: after('ulimit -v 20000 && exec') };
  const stdin = `{"cniVersion": "1.1.0", "name": "net", "x": [${'{"a":[1]},'.repeat(100_000)}0]}`;
  const { status, output } = lab.exec('ADD', HOST_LOCAL, TARGET, { ...options, stdin });
  t.deepEqual([status, output.code], [1, 6]);
  t.is(output.msg, 'error unmarshall network config: there is too little memory for it');
});

test.serial('whatever there is no memory for, the error can be read', (t) => {
  const lab = new Lab(t);
  const bin = linksTo(lab.root, 'netloom-cni');
  const stdin = `{"cniVersion": "1.1.0", "name": "net", "x": "${'x'.repeat(15e6)}"}`;
  for (const limit of [17_000, 20_000, 22_000, 26_000, 40_000]) {
    const wrap = after(`ulimit -v ${limit} && exec`);
    const { status, output } = lab.exec('ADD', HOST_LOCAL, TARGET, { bin, wrap, stdin });
    t.deepEqual([status, output.code, output.msg], [1, 5, 'error reading from stdin: out of memory'], `${limit} KB`);
  }
});

test.serial('the environment is read as UTF-8, what is none as the encoding standard has it', (t) => {
  const lab = new Lab(t);
  const words: Record<string, string> = {
    'A=B=C': 'A=B=C',
    '\\xff': '\ufffd',
    'a\\xc3b': 'a\ufffdb',
    '\\xed\\xa0\\x80': '\ufffd\ufffd\ufffd',
    '\\xf0\\x9f\\x8c\\x90': '\u{1F310}',
    '\\xe2\\x82': '\ufffd',
    __proto__: '__proto__',
  };
  for (const engine of ['netloom-cni', 'netloom'] as const) {
    const bin = linksTo(lab.root, engine);
    for (const [bytes, text] of Object.entries(words)) {
      const script = `exec env -i __proto__=x constructor= =empty CNI_COMMAND="$(printf %b '${bytes}')" ${bin}/host-local`;
      const { stdout } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' });
      const { msg } = JSON.parse(stdout) as Output;
      t.is(
        msg,
        `unknown CNI_COMMAND: ${JSON.stringify(text)}, expected one of ADD, DEL, CHECK, GC, STATUS, VERSION`.replace(
          'DEL, CHECK',
          'CHECK, DEL',
        ),
        engine,
      );
    }
  }
});
