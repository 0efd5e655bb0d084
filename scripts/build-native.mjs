/**
 * The part of the build that needs a C compiler: the shim, which runtimes execute, and netloom-cni, which the shim
 * executes if no agent answers. netloom-cni contains the plugins' programs as bytecode and the engine QuickJS, in one
 * small executable (native/).
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/**
 * musl, if it is installed (Debian: musl-tools). A glibc program asks for the processor's features when it starts, with
 * some 30 CPUIDs. Each of them is an exit to the hypervisor in a virtual machine: 0.5 ms of the 0.55 that a program
 * takes to do nothing.
 */
export const cc = [process.env.CC, 'musl-gcc', 'cc'].find(
  (command) => command !== undefined && spawnSync(command, ['--version']).status === 0,
);
/** Static: linking takes 0.5 ms, and a plugin that is executed thousands of times should not do it each time. */
const CFLAGS = ['-std=c11', '-O2', '-static', '-Wall', '-Wextra', '-Werror'];
/**
 * Optimized further than our own code, and without debugging output: that saves a tenth of a call. Its warnings are not
 * ours to mend.
 */
const ENGINE_FLAGS = ['-std=gnu11', '-O3', '-DNDEBUG', '-fwrapv', '-funsigned-char', '-w', '-D_GNU_SOURCE'];
/** The engine consists of one large file and some small ones. */
const ENGINE = ['quickjs', 'libregexp', 'libunicode', 'dtoa'];

/** For programs on QuickJS, which lacks the modules of Node and Bun: `#ffi` is src/ffi/quickjs.ts (package.json). */
const BUNDLE_FLAGS = ['--minify', '--format=iife', '--target=browser', '--conditions=quickjs'];

/** Runs a command. If it fails, the error has all of its output. */
async function run(command, args, options = {}) {
  try {
    return (await execute(command, args, { encoding: 'buffer', maxBuffer: 64 << 20, ...options })).stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}: ${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
  }
}

/**
 * @param root of the tree
 * @param id of the build, by which shim and agent know each other
 * @returns when ROOT/dist has netloom-shim and netloom-cni
 */
export async function buildNative(root, id) {
  const dist = join(root, 'dist');
  const work = join(dist, '.native');
  mkdirSync(work, { recursive: true });
  await Promise.all([
    install(join(dist, 'netloom-shim'), (file) =>
      run(cc, [...CFLAGS, `-DNETLOOM_BUILD="${id}"`, '-o', file, join(root, 'native/shim.c')]),
    ),
    buildCni(root, id, work),
  ]);
}

async function buildCni(root, id, work) {
  const programs = join(work, 'programs');
  rmSync(programs, { recursive: true, force: true });
  const [engine] = await Promise.all([buildEngine(root, work), bundle(root, id, programs)]);
  const native = (name) => join(root, 'native', name);
  const javascript = join(work, 'javascript');
  await install(javascript, (file) =>
    run(cc, [...CFLAGS, '-o', file, native('javascript.c'), native('engine.c'), native('memory.c'), ...engine, '-lm']),
  );
  const names = sources(root).map(nameOf);
  for (const name of names) {
    const script = readFileSync(join(programs, `${name}.js`));
    writeFileSync(join(programs, name), spawnWithInput(javascript, ['compile'], script));
  }
  const table = join(work, 'programs.S');
  writeFileSync(table, tableOf(names.map((name) => [name, join(programs, name)])));
  await install(join(root, 'dist/netloom-cni'), (file) =>
    run(cc, [...CFLAGS, '-o', file, native('cni.c'), native('engine.c'), native('memory.c'), table, ...engine, '-lm']),
  );
}

/** Compiles the engine, once for each version of it and each compiler. @returns its object files */
async function buildEngine(root, work) {
  const source = join(root, 'native/quickjs');
  const hash = createHash('sha256')
    .update(cc)
    .update(spawnSync(cc, ['--version']).stdout)
    .update(ENGINE_FLAGS.join(' '));
  for (const file of readdirSync(source).sort()) hash.update(file).update(readFileSync(join(source, file)));
  const objects = join(work, `engine-${hash.digest('hex').slice(0, 16)}`);
  mkdirSync(objects, { recursive: true });
  return Promise.all(
    ENGINE.map(async (name) => {
      const object = join(objects, `${name}.o`);
      if (!existsSync(object)) {
        await install(object, (file) => run(cc, [...ENGINE_FLAGS, '-c', '-o', file, join(source, `${name}.c`)]));
      }
      return object;
    }),
  );
}

/** The program of each plugin type. The first one runs before any of them (native/cni.c). */
function sources(root) {
  const types = ['src/plugins', 'src/ipam'].flatMap((directory) =>
    readdirSync(join(root, directory))
      .map((type) => `${directory}/${type}/main.ts`)
      .filter((file) => existsSync(join(root, file))),
  );
  return ['src/ffi/quickjs-globals.ts', ...types];
}

function nameOf(source) {
  return source.endsWith('/main.ts') ? basename(source.slice(0, -'/main.ts'.length)) : basename(source, '.ts');
}

async function bundle(root, id, programs) {
  mkdirSync(programs, { recursive: true });
  const bun = join(root, 'node_modules/.bin/bun');
  const define = ['--define', `NETLOOM_BUILD="${id}"`];
  const outdir = join(programs, 'bundled');
  await run(bun, ['build', ...BUNDLE_FLAGS, ...define, ...sources(root), '--root', 'src', '--outdir', outdir], {
    cwd: root,
  });
  for (const source of sources(root)) {
    const bundled = join(outdir, source.slice('src/'.length).replace(/\.ts$/, '.js'));
    renameSync(bundled, join(programs, `${nameOf(source)}.js`));
  }
}

/** The table for native/cni.c, with the programs' bytecode. */
function tableOf(programs) {
  const data = programs.map(
    ([name, file], i) =>
      `name${i}: .asciz ${JSON.stringify(name)}\n.balign 16\nbegin${i}: .incbin ${JSON.stringify(file)}\nend${i}:\n`,
  );
  const rows = programs.map((_, i) => `.quad name${i}, begin${i}, end${i}\n`);
  return [
    // Otherwise the linker records the name of a temporary file, which changes each time.
    '.file "programs.S"\n',
    '.section .rodata\n',
    ...data,
    '.balign 8\n.globl programs\nprograms:\n',
    ...rows,
    '.quad 0, 0, 0\n',
    '.section .note.GNU-stack,"",%progbits\n',
  ].join('');
}

function spawnWithInput(command, args, input) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { input, maxBuffer: 64 << 20 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stderr}`);
  return stdout;
}

/** Makes a file beside its final place and moves it there, so that it is never missing and never incomplete. */
async function install(file, make) {
  const beside = `${file}.${process.pid}.tmp`;
  try {
    await make(beside);
    renameSync(beside, file);
  } finally {
    rmSync(beside, { force: true });
  }
}
