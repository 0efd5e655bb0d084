/**
 * A soak: ADD, CHECK and DEL of many containers at once, as runtimes call them, while agents and shims are killed at
 * random. Whatever dies, a call succeeds or can be repeated, and nothing is left in the end.
 */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { Sandbox } from '../support/host.ts';
import { BIN, bridgeConf, type Json, type Lab, type Output } from '../support/lab.ts';
import { randomOf } from '../support/random.ts';
import { AgentProcess } from './agent-process.ts';

export interface SoakOptions {
  /** How many plugin calls, including killed ones. */
  readonly calls: number;
  readonly concurrency: number;
  readonly seed: number;
  /** Called while it runs. */
  progress?(line: string): void;
}

export interface SoakReport {
  calls: number;
  /** Calls that answered with error 11 and were repeated. */
  again: number;
  shimsKilled: number;
  agentsKilled: number;
  /** Agents that ended by themselves, because they were told to or had a successor. */
  agentsEnded: number;
  /** Failures that must not happen. */
  readonly wrong: string[];
}

/** One in this many shims is killed. */
const SHIMS = 20;
/** A shim is killed at most this long after its start, in ms; an agent lives at most AGENT_LIFE. */
const SHIM_LIFE = 12;
const AGENT_LIFE = 800;
/** The number of failures after which the soak gives up. */
const ENOUGH = 20;

/** The chains of its networks. */
export function soakNetworks(): readonly (readonly Json[])[] {
  const plain = bridgeConf({ ipMasq: true });
  const ports = bridgeConf({
    name: 'ports',
    bridge: 'ports0',
    ipMasq: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.2.0.0/24' }]] },
  });
  return [[plain], [ports, { cniVersion: '1.1.0', name: 'ports', type: 'portmap' }]];
}

export async function soak(t: Pick<ExecutionContext, 'teardown'>, lab: Lab, options: SoakOptions): Promise<SoakReport> {
  const report: SoakReport = { calls: 0, again: 0, shimsKilled: 0, agentsKilled: 0, agentsEnded: 0, wrong: [] };
  const random = randomOf(options.seed);
  const networks = soakNetworks();
  let isOver = false;
  const killing = killAgents(t, lab, random, report, () => isOver);
  const told = options.progress;
  const ticking = told && setInterval(() => told(`${report.calls} calls, ${report.wrong.length} wrong`), 5000);
  const containers = Array.from({ length: options.concurrency }, (_, i) => {
    const plugins = (networks[i % networks.length] ?? []).map((plugin) => withPort(plugin, 10_000 + i));
    return new Container(lab, lab.sandbox(`soak${i}`), plugins, random, report);
  });
  await Promise.all(
    containers.map(async (container) => {
      while (report.calls < options.calls && report.wrong.length < ENOUGH) await container.live();
    }),
  );
  isOver = true;
  clearInterval(ticking);
  await killing;
  return report;
}

function withPort(plugin: Json, hostPort: number): Json {
  if (plugin['type'] !== 'portmap') return plugin;
  return { ...plugin, runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } };
}

/** The code of an ADD that finds the interface of an earlier one. */
const IFNAME_IN_USE = 111;

/**
 * One container after another in the same namespace, each with an id of its own. NB: a killed shim may leave its ADD
 * running in an agent that is about to end. That agent finds that nobody waits, and undoes the ADD, while the next
 * container is already served by the next agent. So an ADD may find the interface in use. This cannot happen with real
 * runtimes, which do not use a namespace again.
 */
class Container {
  readonly #lab: Lab;
  readonly #sandbox: Sandbox;
  readonly #chain: readonly Json[];
  readonly #random: () => number;
  readonly #report: SoakReport;
  #lives = 0;
  #hadKill = false;

  constructor(lab: Lab, sandbox: Sandbox, chain: readonly Json[], random: () => number, report: SoakReport) {
    this.#lab = lab;
    this.#sandbox = sandbox;
    this.#chain = chain;
    this.#random = random;
    this.#report = report;
  }

  get #id(): string {
    return `${this.#sandbox.name}-${this.#lives}`;
  }

  /** Calls as runtimes do: DEL after a failed ADD, and again after a failed DEL. */
  async live(): Promise<void> {
    let prevResult: Output | undefined;
    let isAdded = true;
    this.#lives++;
    for (const plugin of this.#chain) {
      const result = await this.#call('ADD', plugin, prevResult);
      isAdded = result !== undefined;
      if (!isAdded) break;
      prevResult = result;
    }
    if (isAdded) for (const plugin of this.#chain) await this.#call('CHECK', plugin, prevResult);
    for (const plugin of this.#chain.toReversed()) {
      while ((await this.#call('DEL', plugin, isAdded ? prevResult : undefined)) === undefined) {
        if (this.#report.wrong.length >= ENOUGH) return;
      }
    }
  }

  /** @returns the result, or undefined if it was killed or must be repeated */
  #call(command: string, plugin: Json, prevResult: Output | undefined): Promise<Output | undefined> {
    const conf = prevResult === undefined ? plugin : { ...plugin, prevResult };
    const report = this.#report;
    report.calls++;
    const child = spawn(`${BIN}/${plugin['type']}`, [], {
      env: this.#lab.environment(command, { sandbox: this.#sandbox, containerId: this.#id }, {}),
      stdio: 'pipe',
    });
    let told = '';
    child.stdout.on('data', (data) => (told += data));
    child.stderr.on('data', (data) => (told += data));
    child.stdin.on('error', () => {}); // it was killed before it had read
    child.stdin.end(JSON.stringify(conf));
    const isToDie = this.#random() < 1 / SHIMS;
    const death = isToDie ? setTimeout(() => child.kill('SIGKILL'), this.#random() * SHIM_LIFE) : undefined;
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => {
        clearTimeout(death);
        if (status === 0) return resolve(told === '' ? ({} as Output) : read(told));
        const code = read(told)?.code;
        if (isToDie && signal === 'SIGKILL') {
          report.shimsKilled++;
          this.#hadKill = true;
        } else if (code === 11 || (code === IFNAME_IN_USE && command === 'ADD' && this.#hadKill)) report.again++;
        else report.wrong.push(`${command} ${plugin['type']} of ${this.#id}: ${status ?? signal} ${told}`);
        resolve(undefined);
      });
    });
  }
}

function read(text: string): Output | undefined {
  try {
    return JSON.parse(text) as Output;
  } catch {
    return undefined;
  }
}

/** Agents live for a while. Most are killed, some are told to end, some get a successor; at times there is none. */
async function killAgents(
  t: Pick<ExecutionContext, 'teardown'>,
  lab: Lab,
  random: () => number,
  report: SoakReport,
  isOver: () => boolean,
): Promise<void> {
  let agent = await AgentProcess.start(t, lab);
  while (!isOver()) {
    await delay(random() * AGENT_LIFE);
    const way = random();
    if (way < 0.7) {
      await agent.kill();
      report.agentsKilled++;
    } else {
      if (way < 0.85) agent.signal('SIGTERM');
      const next = way < 0.85 ? undefined : await AgentProcess.start(t, lab);
      const end = await agent.ended();
      if (end !== 0) report.wrong.push(`an agent ended with ${end}: ${agent.stderr}`);
      report.agentsEnded++;
      if (next !== undefined) {
        agent = next;
        continue;
      }
    }
    await delay(random() * 100);
    agent = await AgentProcess.start(t, lab);
  }
  // A killed shim may have left a call running. The agent ends when that call has ended.
  agent.signal('SIGTERM');
  const end = await agent.ended();
  if (end !== 0) report.wrong.push(`the last agent ended with ${end}: ${agent.stderr}`);
}
