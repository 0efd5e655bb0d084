/** A build without a C compiler: it has no shim and no small engine, but the plugins work. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { becomeHost, makeRoot } from '../support/host.ts';
import { BIN, bridgeConf, Lab } from '../support/lab.ts';

becomeHost();

const TREE = fileURLToPath(new URL('../..', import.meta.url));
/** The inputs of a build. */
const SOURCES = ['src', 'scripts', 'native', 'package.json', 'tsconfig.json'];

test('a build without a C compiler says so, and each type leads to netloom itself, which attaches containers', (t) => {
  const { path: tree, remove } = makeRoot();
  t.teardown(remove);
  for (const name of SOURCES) cpSync(join(TREE, name), join(tree, name), { recursive: true });
  symlinkSync(join(TREE, 'node_modules'), join(tree, 'node_modules'));
  const path = join(tree, 'path');
  mkdirSync(path);
  symlinkSync(process.execPath, join(path, 'node'));
  const said = execFileSync('node', ['scripts/build.mjs'], {
    cwd: tree,
    env: { PATH: path },
    encoding: 'utf8',
  });
  t.regex(said, /^build: no shim, for there is no C compiler: plugins never call an agent/m);
  const bin = join(tree, 'dist/bin');
  t.deepEqual(readdirSync(bin), readdirSync(BIN));
  for (const type of readdirSync(bin)) t.is(readlinkSync(join(bin, type)), '../netloom');

  const lab = new Lab(t);
  const target = { sandbox: lab.sandbox('c1') };
  const result = lab.add(bridgeConf(), target, { bin });
  t.true(target.sandbox.reaches('10.1.0.1'));
  lab.del({ ...bridgeConf(), prevResult: result }, target, { bin });
  t.is(target.sandbox.ip('link').length, 1);
});
