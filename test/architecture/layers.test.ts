/**
 * The layers of docs/architecture.md: a folder only imports from those before it in the list, and nothing on the plugin
 * path loads a runtime's own modules.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/** The lowest layer first. The files directly in src/ are below all others, except main.ts, which is above all. */
const LAYERS = [
  '',
  'ffi',
  'net',
  'netns',
  'netlink',
  'rtnl',
  'diag',
  'nft',
  'cni',
  'ipam',
  'attach',
  'overlay',
  'plugins',
  'runtime',
  'inspect',
  'agent',
  'cli',
  'main.ts',
];

/** Loading them costs a plugin call 1 to 10 ms. */
const RUNTIME_MODULES = /^(node:|bun:)/;
/** HTTP, for a thread of the agent and for commands: plugin calls never load it. */
const HTTP = 'overlay/etcd/transport.ts';

interface Import {
  readonly from: string;
  readonly to: string;
}

const imports: Import[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .flatMap((file) => importsOf(file));

test('a layer imports only from those below it', (t) => {
  t.true(imports.length > 300, 'the imports were found');
  const wrong = imports.filter(({ from, to }) => isUpward(from, to));
  t.deepEqual(wrong, []);
});

test('a plugin imports no other plugin', (t) => {
  const ofPlugin = (file: string) => /^plugins\/([^/]+)\//.exec(file)?.[1];
  const wrong = imports.filter(({ from, to }) => {
    const own = ofPlugin(from);
    return own !== undefined && ofPlugin(to) !== undefined && ofPlugin(to) !== own;
  });
  t.deepEqual(wrong, []);
});

test('the plugin path loads no module of a runtime but the one for FFI', (t) => {
  const wrong = imports.filter(
    ({ from, to }) =>
      RUNTIME_MODULES.test(to) && !from.startsWith('cli/') && !['ffi/bun.ts', 'ffi/node.ts', HTTP].includes(from),
  );
  t.deepEqual(wrong, []);
  const reached = new Set(['plugins/registry.ts', 'agent/worker.ts']);
  for (const file of reached) for (const { from, to } of imports) if (from === file) reached.add(to);
  t.true(reached.has('overlay/reconcile.ts'), 'what it loads was found');
  t.false(reached.has(HTTP));
});

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8');
  const found = [
    ...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g),
  ];
  return found.map(([, one, other]) => {
    const specifier = one ?? other ?? '';
    const to = specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier;
    return { from: file, to };
  });
}

function isUpward(from: string, to: string): boolean {
  const [own, other] = [layerOf(from), layerOf(to)];
  return other !== undefined && (own === undefined || LAYERS.indexOf(other) > LAYERS.indexOf(own));
}

/** Undefined for modules outside src/: packages, package.json, #ffi. */
function layerOf(file: string): string | undefined {
  if (file === 'main.ts') return file;
  const folder = file.includes('/') ? file.slice(0, file.indexOf('/')) : '';
  return LAYERS.includes(folder) && file.endsWith('.ts') ? folder : undefined;
}
