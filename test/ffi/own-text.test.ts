import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { textOf } from '../../src/ffi/own-text.ts';

function mapping(range: string, permissions: string, path: string, anonymous = 0): string {
  return `${range} ${permissions} 00001000 fe:00 2310625      ${path}\nSize:  100 kB\nPrivate_Dirty:  4 kB\nAnonymous:  ${anonymous} kB\n`;
}

test('code and constants are what is executed of the file itself, or only read, where nothing has changed it', (t) => {
  const smaps = [
    mapping('00200000-01a39000', 'r--p', '/opt/net loom'),
    mapping('01a40000-0684a000', 'r-xp', '/opt/net loom'),
    mapping('0684a000-0685f000', 'rw-p', '/opt/net loom'),
    mapping('06900000-06a00000', 'r-xp', '/opt/net loom', 4),
    mapping('06a00000-06b00000', 'r--p', '/opt/net loom', 4),
    mapping('7f0000000000-7f0000001000', 'r-xp', '/lib/libc.so.6'),
    mapping('7f0000002000-7f0000003000', 'rwxp', ''),
  ].join('');
  t.deepEqual(textOf(smaps, '/opt/net loom'), [
    [0x00200000, 0x01a39000],
    [0x01a40000, 0x0684a000],
  ]);
});

/** Runs on the engine of the product, because the code is specific to it. */
const PROGRAM = `
  import { readFileSync } from 'node:fs';
  import { releaseOwnText } from ${JSON.stringify(fileURLToPath(new URL('../../src/ffi/own-text.ts', import.meta.url)))};
  const memory = () => Number(/^RssFile:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  const before = memory();
  releaseOwnText();
  console.log(JSON.stringify([before, memory()]));
`;

test('after it has given its code back a process has less in memory, and goes on', (t) => {
  const bun = fileURLToPath(new URL('../../node_modules/.bin/bun', import.meta.url));
  const [before = 0, after = 0] = JSON.parse(execFileSync(bun, ['-e', PROGRAM], { encoding: 'utf8' })) as number[];
  // The real figures are 28 MB and 9.
  t.true(after < before / 2, `${before} KB before, ${after} KB after`);
});
