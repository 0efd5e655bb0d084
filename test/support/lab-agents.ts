/**
 * Plugin tests through an agent. NETLOOM_TEST_AGENT=1 gives a lab an agent for each root directory that it calls
 * plugins with, and that agent serves them. A file fails if an agent has served none of its calls. Files that make no
 * sense with an agent are listed, with the reason, in test/not-by-agent.txt and nowhere else.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { NETLOOM } from './command.ts';
import { Limit } from './limit.ts';

const IS_ON = process.env['NETLOOM_TEST_AGENT'] === '1';

/** How long an agent may take to start, in seconds. */
const PATIENCE = 120;

/** Calls in all labs of the file. */
let calls = 0;
let hasServed = false;

if (IS_ON) {
  // NB: imported only here. Programs that AVA does not run use labs, too.
  const { default: test } = await import('ava');
  test.after.always('an agent has served calls of this file', (t) => {
    t.true(hasServed || calls === 0, `none of ${calls} calls came to an agent: name the file in test/not-by-agent.txt`);
  });
}

export class LabAgents {
  readonly #children = new Map<string, ChildProcess>();

  /**
   * Makes sure that calls with a root find an agent: the test's own, or a new one.
   * @param wrap a program, with arguments, to run the plugin with; if it enters a namespace, so does the agent
   */
  ensure(root: string, wrap: readonly string[]): void {
    if (!IS_ON) return;
    calls++;
    const socket = `${root}/run/netloom/agent.sock`;
    if (this.#children.has(root) || existsSync(socket)) return;
    const [program = '', ...args] = [...(wrap[0] === 'nsenter' ? wrap.slice(0, 2) : []), NETLOOM, 'agent'];
    const child = spawn(program, [...args, '--log-level=error'], {
      env: { PATH: process.env['PATH'], NETLOOM_ROOT: root },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#children.set(root, child);
    const limit = new Limit(PATIENCE);
    while (!existsSync(socket)) {
      if (limit.isOver()) throw new Error(`after ${PATIENCE} s no agent has made "${socket}"`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }

  /** NB: call it when the machine of this root ends. Otherwise the agent keeps that machine's namespace alive. */
  end(root: string): void {
    hasServed ||= this.#children.has(root) && served(root) > 0;
    this.#children.get(root)?.kill('SIGKILL');
    this.#children.delete(root);
  }

  endAll(): void {
    for (const root of this.#children.keys()) this.end(root);
  }
}

/** How many calls the agent of a root has carried out. */
function served(root: string): number {
  const { stdout } = spawnSync(NETLOOM, ['status', '--json'], { env: { NETLOOM_ROOT: root }, encoding: 'utf8' });
  const { calls: all = [] } = JSON.parse(stdout || '{}') as { calls?: readonly { count: number }[] };
  return all.reduce((sum, { count }) => sum + count, 0);
}
