/** The agent of the netloom under measurement. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './experiment.ts';

export class Resident {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts an agent for the bench's root, and waits until it serves. */
  static async start({ netloom, root }: Bench): Promise<Resident> {
    const child = spawn(join(netloom.plugins, '../netloom'), ['agent', '--log-level', 'warn'], {
      env: { NETLOOM_ROOT: root },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const socket = join(root, 'run/netloom/agent.sock');
    while (!existsSync(socket)) {
      if (child.exitCode !== null) throw new Error(`the agent has ended with ${child.exitCode}`);
      await delay(10);
    }
    return new Resident(child);
  }

  /** Its memory in MB, as PSS. */
  get memory(): number {
    const text = readFileSync(`/proc/${this.#child.pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss: +(\d+)/m.exec(text)?.[1]) / 1024;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.on('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}
