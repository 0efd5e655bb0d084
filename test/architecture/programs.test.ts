/**
 * Each plugin type is a program of its own (src/main.ts), and the same type is in the list of the command line and the
 * agent (src/plugins/registry.ts).
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { plugins } from '../../src/plugins/registry.ts';

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const programs = [...readFileSync(`${src}main.ts`, 'utf8').matchAll(/import\('#program\/([a-z]+\/([a-z-]+))'\)/g)].map(
  ([, path = '', type = '']) => ({ path, type }),
);

test('the types that the executable goes by are those of the registry', (t) => {
  t.deepEqual(programs.map(({ type }) => type).toSorted(), [...plugins.keys()].toSorted());
});

for (const { path, type } of programs) {
  test(`${type} is the same plugin in both, with a record where it attaches`, (t) => {
    const file = `${src}${path}/main.ts`;
    t.true(existsSync(file), file);
    const text = readFileSync(file, 'utf8');
    const isRecorded = /execute\(recorded\(\w+\)\)/.test(text);
    const registry = readFileSync(`${src}plugins/registry.ts`, 'utf8');
    const [, name = ''] = /execute\((?:recorded\()?(\w+)\)/.exec(text) ?? [];
    const attaching = /const attaching = \[([^\]]*)\]/.exec(registry)?.[1] ?? '';
    t.is(isRecorded, new RegExp(`\\b${name}\\b`).test(attaching));
  });
}
