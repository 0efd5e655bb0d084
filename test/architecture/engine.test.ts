/** The table of libc functions in native/engine.c has exactly those that the plugins' programs bind. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('../../', import.meta.url));
const built = `${root}dist/.native/programs/`;

test('QuickJS has every function of libc that a plugin may call', (t) => {
  const programs = readdirSync(built).filter((name) => name.endsWith('.js'));
  const bound = programs.flatMap((name) =>
    [...readFileSync(built + name, 'utf8').matchAll(/\b(\w+):\{args:\[/g)].map(([, called = '']) => called),
  );
  const table = [...readFileSync(`${root}native/engine.c`, 'utf8').matchAll(/\bLIBC\((\w+)\),|\{"(\w+)", /g)];
  t.true(programs.length > 20);
  t.deepEqual(table.map(([, name, other]) => name ?? other ?? '').toSorted(), [...new Set(bound)].toSorted());
});
