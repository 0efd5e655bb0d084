/**
 * The other way that the tests of plugins run: NETLOOM_TEST_AGENT=1 gives a lab an agent for each root directory that
 * it calls plugins with, so that they are served by one. A file of which no call was served fails: what makes no sense
 * with an agent is named, with the reason, in test/not-by-agent.txt, and nowhere else.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { NETLOOM } from './command.ts';
import { Limit } from './limit.ts';

const IS_ON = process.env['NETLOOM_TEST_AGENT'] === '1';

/** How long one may take until it serves, in seconds. */
const PATIENCE = 120;

/** Of all labs of the file. */
let calls = 0;
let hasServed = false;

if (IS_ON) {
  // NB: only here. Labs are also used by what AVA does not run.
  const { default: test } = await import('ava');
  test.after.always('an agent has served calls of this file', (t) => {
    t.true(hasServed || calls === 0, `none of ${calls} calls came to an agent: name the file in test/not-by-agent.txt`);
  });
}

export class LabAgents {
  readonly #children = new Map<string, ChildProcess>();

  /**
   * Sees to it that calls with a root find an agent, be it the test's own.
   * @param wrap a program, with arguments, to run the plugin with: what enters a namespace leads the agent there, too
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

  /** NB: with the machine of its root, whose namespace would live on with it. */
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
