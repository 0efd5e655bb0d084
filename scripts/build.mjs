/**
 * Builds dist/netloom, one executable, dist/netloom-shim, the small program that runtimes execute, dist/netloom-cni,
 * which it executes where no agent answers, and dist/bin/<type>, a link to the shim for every plugin type. Where there
 * is no C compiler there are only netloom and links to it: everything works, but no call goes to an agent, and each
 * takes twice as long. Does nothing where dist/ was built from the same sources: `npm test` and `npm run bench` begin
 * with this script. Runs on the Node of whoever builds (20 or later).
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

/** For the plugin types' programs, one file each: src/main.ts. */
const BUNDLE_FLAGS = ['--minify', '--format=esm', '--target=bun'];

const FLAGS = [
  '--compile',
  '--bytecode',
  '--minify',
  // Only what a call needs is read: the command line is a chunk of its own, 1.5 ms that a plugin does not pay.
  '--splitting',
  '--format=esm',
  // A runtime executes a plugin in whatever directory it happens to be in. By default a compiled Bun program reads .env
  // and bunfig.toml there, and runs the latter's `preload`: code of whoever can write to that directory, run as root.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  // Off by default today; said so that no later default changes it.
  '--no-compile-autoload-tsconfig',
  '--no-compile-autoload-package-json',
];

/**
 * What the build depends on: the sources, the versions of what they import, and how they are compiled: also by what, so
 * that who installs a compiler gets the shim.
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

/** A link is replaced by renaming another one over it, so that a plugin is never missing. */
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

/** @returns what the plugin types' links lead to */
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
  // What shim and agent know each other by.
  const id = print.slice(0, 16);
  try {
    const define = ['--define', `NETLOOM_BUILD="${id}"`];
    run(bun, ['build', ...BUNDLE_FLAGS, ...define, ...programSources(), '--root', 'src', '--outdir', programs]);
    run(bun, [
      'build',
      ...FLAGS,
      ...define,
      // The programs as they were just bundled, and not their sources: package.json.
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
    // Last: what is not stamped is built again.
    writeFileSync(stamp, `${print}\n${target}\n${types.join('\n')}\n`);
    return types;
  } finally {
    rmSync(beside, { force: true });
  }
}

/** Whether dist/ is whole, and built from these sources. */
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
