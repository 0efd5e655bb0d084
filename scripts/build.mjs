/**
 * Builds four things: dist/netloom, one executable; dist/netloom-shim, the small program that runtimes execute;
 * dist/netloom-cni, which the shim executes if no agent answers; and dist/bin/<type>, a link to the shim for every
 * plugin type. Without a C compiler there are only netloom and links to it. Everything works then, but no call goes to
 * an agent, and each takes twice as long. Does nothing if dist/ was built from the same sources: `npm test` and `npm
 * run bench` begin with this script. Runs on the Node of the person who builds (20 or later).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildNative, cc } from './build-native.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const bin = join(dist, 'bin');
const executable = join(dist, 'netloom');
const shim = join(dist, 'netloom-shim');
const cni = join(dist, 'netloom-cni');
const stamp = join(dist, '.built-from');
const programs = join(dist, '.programs');
const bun = join(root, 'node_modules/.bin/bun');

/** For the programs of the plugin types, one file each: src/main.ts. */
const BUNDLE_FLAGS = ['--minify', '--format=esm', '--target=bun'];

const FLAGS = [
  '--compile',
  '--bytecode',
  '--minify',
  // A call only reads what it needs: the command line is a chunk of its own, which saves a plugin 1.5 ms.
  '--splitting',
  '--format=esm',
  // A runtime may execute a plugin in any working directory. By default, a compiled Bun program reads .env and
  // bunfig.toml there, and runs the `preload` of the latter. Anyone who can write to that directory could run code as
  // root.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  // Off by default today. Stated, so that a later default does not change it.
  '--no-compile-autoload-tsconfig',
  '--no-compile-autoload-package-json',
];

/**
 * What the build depends on: the sources, the versions of their imports, the flags, and the compiler. If a compiler is
 * installed later, the next build makes the shim.
 */
function fingerprint() {
  const hash = createHash('sha256');
  const sources = ['src', 'native'].flatMap((directory) =>
    readdirSync(join(root, directory), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      // `path` is the name of `parentPath` before Node 20.12.
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .sort(),
  );
  const others = [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'scripts/build.mjs',
    'scripts/build-native.mjs',
  ].map((name) => join(root, name));
  for (const file of [...sources, ...others]) {
    if (existsSync(file)) hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0');
  }
  return hash
    .update(process.arch)
    .update(cc ?? '')
    .digest('hex');
}

function stop(message) {
  console.error(`build: ${message}`);
  process.exit(1);
}

function run(command, args) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  if (error) stop(`cannot execute ${command}: ${error.message}`);
  if (status !== 0) stop(`${command} ${args.join(' ')}: exit ${status ?? signal}\n${stdout}${stderr}`);
  return stdout;
}

/** Replaces a link by renaming a new one over it, so that a plugin is never missing. */
function link(target, path) {
  const beside = `${path}.${process.pid}.tmp`;
  symlinkSync(target, beside);
  renameSync(beside, path);
}

function linkTarget(path) {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** The entry point of each plugin type. */
function programSources() {
  return ['src/plugins', 'src/ipam'].flatMap((directory) =>
    readdirSync(join(root, directory))
      .map((type) => `${directory}/${type}/main.ts`)
      .filter((file) => existsSync(join(root, file))),
  );
}

/** @returns the target of the plugin types' links */
async function linked(id) {
  if (cc !== undefined) {
    await buildNative(root, id);
    return '../netloom-shim';
  }
  for (const file of [shim, cni]) rmSync(file, { force: true });
  console.log('build: no shim, for there is no C compiler: plugins never call an agent, and start a larger engine');
  return '../netloom';
}

async function build(print) {
  const beside = `${executable}.${process.pid}.tmp`;
  // The build id by which shim and agent know each other.
  const id = print.slice(0, 16);
  try {
    const define = ['--define', `NETLOOM_BUILD="${id}"`];
    run(bun, ['build', ...BUNDLE_FLAGS, ...define, ...programSources(), '--root', 'src', '--outdir', programs]);
    run(bun, [
      'build',
      ...FLAGS,
      ...define,
      // The programs as just bundled, instead of their sources: package.json.
      '--conditions=bundled',
      'src/main.ts',
      'src/agent/worker.ts',
      'src/cli/progress-worker.ts',
      'src/agent/overlay-worker.ts',
      'src/agent/etcd-worker.ts',
      '--outfile',
      beside,
    ]);
    chmodSync(beside, 0o755);
    const types = run(beside, ['plugins']).split('\n').filter(Boolean);
    if (types.length === 0) stop('"netloom plugins" printed no plugin type');

    renameSync(beside, executable);
    const target = await linked(id);
    mkdirSync(bin, { recursive: true });
    for (const type of types) link(target, join(bin, type));
    for (const name of readdirSync(bin)) if (!types.includes(name)) rmSync(join(bin, name), { recursive: true });
    // Last: a build without the stamp is repeated.
    writeFileSync(stamp, `${print}\n${target}\n${types.join('\n')}\n`);
    return types;
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Whether dist/ is complete, and built from these sources. */
function upToDate(print) {
  if (!existsSync(executable) || !existsSync(stamp)) return false;
  const [built, target, ...types] = readFileSync(stamp, 'utf8').trim().split('\n');
  return (
    built === print && types.every((type) => linkTarget(join(bin, type)) === target && existsSync(join(bin, type)))
  );
}

if (!existsSync(join(root, 'src/main.ts'))) stop('src/main.ts is missing');
if (!existsSync(bun)) stop('node_modules is missing or incomplete: run "npm ci" first');
const print = fingerprint();
if (upToDate(print) && !process.argv.includes('--force')) {
  console.log('build: dist/netloom is up to date');
} else {
  mkdirSync(dist, { recursive: true });
  const begin = performance.now();
  const types = await build(print).catch((error) => stop(error.message));
  console.log(
    `build: dist/netloom and dist/bin (${types.join(', ')}) in ${((performance.now() - begin) / 1000).toFixed(1)} s`,
  );
}
