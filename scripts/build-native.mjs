/**
 * The part of the build that needs a C compiler: the shim, which runtimes execute, and netloom-cni, which the shim
 * executes where no agent answers: the plugins' programs as bytecode in one small executable with the engine QuickJS
 * (native/).
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/**
 * musl where it is there (Debian: musl-tools): a program of glibc asks the processor what it can do before it begins,
 * some 30 times by CPUID, each of which is a trip to the hypervisor where there is one: 0.5 ms of 0.55 for a program
 * that does nothing.
 */
export const cc = [process.env.CC, 'musl-gcc', 'cc'].find(
  (command) => command !== undefined && spawnSync(command, ['--version']).status === 0,
);
/** Static: a plugin that is executed thousands of times is not linked each time, and 0.5 ms is what that takes. */
const CFLAGS = ['-std=c11', '-O2', '-static', '-Wall', '-Wextra', '-Werror'];
/**
 * Optimized once more than ours, and without what it prints to be debugged: a tenth of a call. Its warnings are not
 * ours to mend.
 */
const ENGINE_FLAGS = ['-std=gnu11', '-O3', '-DNDEBUG', '-fwrapv', '-funsigned-char', '-w', '-D_GNU_SOURCE'];
/** The engine is one large file and some that are not. */
const ENGINE = ['quickjs', 'libregexp', 'libunicode', 'dtoa'];

/**
 * For programs on QuickJS, which has neither modules of Node's nor Bun's: `#ffi` is src/ffi/quickjs.ts (package.json).
 */
const BUNDLE_FLAGS = ['--minify', '--format=iife', '--target=browser', '--conditions=quickjs'];

/** What cannot be run is an error with all that it said. */
async function run(command, args, options = {}) {
  try {
    return (await execute(command, args, { encoding: 'buffer', maxBuffer: 64 << 20, ...options })).stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}: ${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`);
  }
}

/**
 * @param root of the tree
 * @param id of the build: what shim and agent know each other by
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

/** Compiles the engine, once for each version of it and each compiler. @returns its objects */
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

/** The program of each plugin type; the first one is run before any of them (native/cni.c). */
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

/** The table of native/cni.c, with the files themselves. */
function tableOf(programs) {
  const data = programs.map(
    ([name, file], i) =>
      `name${i}: .asciz ${JSON.stringify(name)}\n.balign 16\nbegin${i}: .incbin ${JSON.stringify(file)}\nend${i}:\n`,
  );
  const rows = programs.map((_, i) => `.quad name${i}, begin${i}, end${i}\n`);
  return [
    // Else the linker writes down the name of a temporary file, another one each time.
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

/** Makes a file beside its place and moves it there, so that it is never missing and never half. */
async function install(file, make) {
  const beside = `${file}.${process.pid}.tmp`;
  try {
    await make(beside);
    renameSync(beside, file);
  } finally {
    rmSync(beside, { force: true });
  }
}
