/** Runs `netloom …` as a process, for test files that have become a host. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The executable made by `npm run build`. */
export const NETLOOM = fileURLToPath(new URL('../../dist/netloom', import.meta.url));

export interface CommandEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs commands that keep all their files below one directory. */
export class Netloom {
  readonly root: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(root: string, environment: Readonly<Record<string, string | undefined>> = {}) {
    this.root = root;
    this.#environment = environment;
  }

  get environment(): NodeJS.ProcessEnv {
    const { PATH } = process.env;
    return { PATH, NETLOOM_ROOT: this.root, ...this.#environment };
  }

  /** Runs a command to its end, whether it succeeds or fails. */
  try(...args: string[]): CommandEnd {
    const { status, stdout, stderr } = spawnSync(NETLOOM, args, { env: this.environment, encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  /** Runs a command that must succeed. @returns what it printed */
  run(...args: string[]): string {
    const { status, stdout, stderr } = this.try(...args);
    if (status !== 0) throw new Error(`netloom ${args.join(' ')} left with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Runs a command with --json. @returns what it printed, parsed */
  json<T>(...args: string[]): T {
    return JSON.parse(this.run(...args, '--json')) as T;
  }
}
