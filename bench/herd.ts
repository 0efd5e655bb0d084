/** Compiles herd.c, and uses it to execute a plugin for many containers at once. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from './launcher.ts';

export interface HerdCall {
  readonly program: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly conf: unknown;
  /** The prefixes of the containers' names and of the paths of their namespaces; a number follows. */
  readonly container: string;
  readonly netns: string;
}

export class Herd {
  readonly #program: string;
  readonly #stdin: string;

  /** @param dir the directory for the program */
  constructor(dir: string) {
    this.#program = compile('herd', dir);
    this.#stdin = join(dir, 'herd-stdin');
  }

  /** @returns how long each call took, in ms @throws if one fails */
  execute({ program, environment, conf, container, netns }: HerdCall, count: number): number[] {
    writeFileSync(this.#stdin, JSON.stringify(conf));
    const { status, output } = spawnSync(this.#program, [program, this.#stdin, String(count), container, netns], {
      env: environment,
      stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      encoding: 'utf8',
    });
    const calls = (output[3] ?? '')
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    const failed = calls.filter(([, code]) => code !== 0).length;
    if (status !== 0 || failed > 0 || calls.length !== count) {
      throw new Error(`${environment['CNI_COMMAND']} ${program}: ${failed} of ${count} calls failed`);
    }
    return calls.map(([nanoseconds = Number.NaN]) => nanoseconds / 1e6);
  }
}
