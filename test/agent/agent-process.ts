/** Starts a `netloom agent` for a test, and makes directories of plugins that only an agent, or no agent, can serve. */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { BIN, type Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

export interface StartOptions {
  readonly args?: readonly string[];
  /** A program, with arguments, to run the agent with. */
  readonly wrap?: readonly string[];
  /** Further variables. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A descriptor that the agent gets as its descriptor 3. */
  readonly passed?: number;
}

export class AgentProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | string>;
  stderr = '';

  private constructor(lab: Lab, { args = [], wrap = [], environment = {}, passed }: StartOptions) {
    const [program = '', ...rest] = [...wrap, join(DIST, 'netloom'), 'agent', ...args];
    this.#child = spawn(program, rest, {
      env: { PATH: process.env['PATH'], NETLOOM_ROOT: lab.root, ...environment },
      stdio: ['ignore', 'ignore', 'pipe', passed ?? 'ignore'],
    });
    this.#child.stderr?.on('data', (data) => (this.stderr += data));
    this.#ended = new Promise((resolve) =>
      this.#child.on('close', (status, signal) => resolve(status ?? signal ?? -1)),
    );
  }

  /** Starts an agent for a lab's root, and waits until it serves. It ends with the test. */
  static start(t: Pick<ExecutionContext, 'teardown'>, lab: Lab, ...args: readonly string[]): Promise<AgentProcess> {
    return AgentProcess.startWith(t, lab, { args });
  }

  static async startWith(
    t: Pick<ExecutionContext, 'teardown'>,
    lab: Lab,
    options: StartOptions,
  ): Promise<AgentProcess> {
    const agent = new AgentProcess(lab, options);
    t.teardown(() => agent.kill());
    await until('the agent serves', () => agent.stderr.includes('serving calls'), {
      end: agent.#ended.then((end) => `${end}: ${agent.stderr}`),
    });
    return agent;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** How many descriptors it has open. */
  get openFiles(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** @returns its exit status, or the signal that ended it */
  ended(): Promise<number | string> {
    return this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** The path of the socket of a lab's agent. */
export function socketOf(lab: Lab): string {
  return join(lab.root, 'run/netloom/agent.sock');
}

export function modeOf(path: string): number {
  return statSync(path).mode & 0o7777;
}

/**
 * A directory of plugins whose shim has no netloom-cni beside it: calls that the agent does not serve fail with code
 * 108.
 */
export function agentOnly(lab: Lab): string {
  return directoryOf(lab, 'agent-only', (path) => {
    copyFileSync(join(DIST, 'netloom-shim'), join(path, 'netloom-shim'));
    return 'netloom-shim';
  });
}

/** A directory of plugins that are links to the executable that the shim falls back to. */
export function standaloneOnly(lab: Lab): string {
  return directoryOf(lab, 'standalone-only', () => join(DIST, 'netloom-cni'));
}

function directoryOf(lab: Lab, name: string, prepare: (path: string) => string): string {
  const path = join(lab.root, name);
  mkdirSync(path, { recursive: true });
  const target = prepare(path);
  for (const type of readdirSync(BIN)) symlinkSync(target, join(path, type));
  return path;
}
