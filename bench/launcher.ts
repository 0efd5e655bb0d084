/** Compiles launch.c, and uses it to execute plugins. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Debian's names of architectures. */
const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

export interface Timing {
  /** The time of the whole process, in ms. */
  readonly time: number;
  /** Its peak memory, in KB. */
  readonly memory: number;
  readonly stdout: string;
}

export class Launcher {
  readonly #program: string;
  readonly #stdin: string;
  /** An empty static program. */
  readonly empty: string;

  /** @param dir the directory for the programs */
  constructor(dir: string) {
    this.#program = compile('launch', dir);
    this.empty = compile('empty', dir);
    this.#stdin = join(dir, 'stdin');
  }

  /** @throws if the program fails */
  execute(program: string, environment: NodeJS.ProcessEnv = {}, stdin = '', args: readonly string[] = []): Timing {
    writeFileSync(this.#stdin, stdin);
    const input = openSync(this.#stdin, 'r');
    try {
      const { output, error } = spawnSync(this.#program, [program, ...args], {
        env: environment,
        stdio: [input, 'pipe', 'pipe', 'pipe'],
        encoding: 'utf8',
      });
      if (error) throw error;
      const [, stdout = '', stderr = '', report = ''] = output.map((text) => text ?? '');
      const [nanoseconds = Number.NaN, memory = Number.NaN, status] = report.split(' ').map(Number);
      if (status !== 0) {
        throw new Error(`${environment['CNI_COMMAND'] ?? ''} ${program} failed with ${status}: ${stdout}${stderr}`);
      }
      return { time: nanoseconds / 1e6, memory, stdout };
    } finally {
      closeSync(input);
    }
  }
}

/**
 * musl first: the floor must be minimal, and starting a glibc program takes longer (docs/decisions.md). The kernel's
 * headers are the machine's.
 */
const COMPILERS: readonly (readonly [string, ...string[]])[] = [
  ['musl-gcc', '-idirafter', '/usr/include', '-idirafter', `/usr/include/${MACHINES[process.arch] ?? ''}`],
  ['cc'],
];

/** Compiles NAME.c of this folder. @returns the path of the program */
export function compile(name: string, dir: string): string {
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  const program = join(dir, name);
  const found = COMPILERS.find(([command]) => spawnSync(command, ['--version']).status === 0);
  try {
    const [command, ...flags] = found ?? ['cc'];
    execFileSync(command, [...flags, '-O2', '-static', '-pthread', '-o', program, source], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } catch (cause) {
    throw new Error(`Cannot compile ${source}: the Debian packages gcc and libc6-dev are needed`, { cause });
  }
  return program;
}
