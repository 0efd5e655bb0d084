/** `netloom …` as a process, for test files that have become a host. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The executable that `npm run build` makes. */
export const NETLOOM = fileURLToPath(new URL('../../dist/netloom', import.meta.url));

export interface CommandEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs commands with everything that netloom keeps below one directory. */
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

  /** Runs one to its end, however it ends. */
  try(...args: string[]): CommandEnd {
    const { status, stdout, stderr } = spawnSync(NETLOOM, args, { env: this.environment, encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  /** One that succeeds. @returns what it printed */
  run(...args: string[]): string {
    const { status, stdout, stderr } = this.try(...args);
    if (status !== 0) throw new Error(`netloom ${args.join(' ')} left with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** What one prints with --json. */
  json<T>(...args: string[]): T {
    return JSON.parse(this.run(...args, '--json')) as T;
  }
}
