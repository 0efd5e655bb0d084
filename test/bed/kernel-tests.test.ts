/** The list of what runs in the virtual machines. A line for a file that was renamed would leave it out unseen. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const TREE = new URL('../../', import.meta.url);

test('every line names what is there', (t) => {
  const lines = readFileSync(fileURLToPath(new URL('scripts/bed/kernel-tests', TREE)), 'utf8').split('\n');
  const paths = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/\s/, 1)[0] ?? '');
  t.deepEqual(
    paths.filter((path) => !existsSync(new URL(path.replace(/^!/, ''), TREE))),
    [],
  );
});
