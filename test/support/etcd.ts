/**
 * Debian's etcd, with one or three members, on an address of the namespace that the test file has become. It ends with
 * the test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { EtcdClient } from '../../src/overlay/etcd/client.ts';
import type { EtcdSettings } from '../../src/overlay/etcd/settings.ts';
import { until } from './until.ts';

export interface EtcdOptions {
  readonly members?: number;
  /** An address of this host. */
  readonly address?: string;
  readonly scheme?: 'http' | 'https';
  /** Further arguments for every member. */
  readonly args?: readonly string[];
  /** How to connect to it, apart from the endpoints. */
  readonly settings?: Partial<EtcdSettings>;
}

const PORT = 2379;

export class Etcd {
  readonly endpoints: readonly string[];
  readonly settings: EtcdSettings;
  readonly #root: string;
  readonly #options: Required<EtcdOptions>;
  readonly #processes: (ChildProcess | undefined)[] = [];
  readonly #client: EtcdClient;

  private constructor(root: string, options: EtcdOptions) {
    const { members = 1, address = '127.0.0.1', scheme = 'http', args = [], settings = {} } = options;
    this.#options = { members, address, scheme, args, settings };
    this.#root = join(root, 'etcd');
    mkdirSync(this.#root);
    this.endpoints = Array.from({ length: members }, (_, i) => `${scheme}://${inUrl(address)}:${PORT + i * 10}`);
    this.settings = { endpoints: this.endpoints, prefix: '/netloom', ...settings };
    this.#client = new EtcdClient(this.settings);
  }

  /** Starts all members, and waits until they have a leader. */
  static async start(t: Pick<ExecutionContext, 'teardown'>, root: string, options: EtcdOptions = {}): Promise<Etcd> {
    const etcd = new Etcd(root, options);
    t.teardown(() => etcd.#end());
    for (let i = 0; i < etcd.endpoints.length; i++) etcd.startMember(i);
    await etcd.serves();
    return etcd;
  }

  startMember(i: number): void {
    const { members, address, args } = this.#options;
    const name = (member: number) => `m${member}`;
    const peer = (member: number) => `http://${inUrl(address)}:${PORT + 1 + member * 10}`;
    const endpoint = this.endpoints[i] ?? '';
    const all = Array.from({ length: members }, (_, member) => `${name(member)}=${peer(member)}`);
    const log = openSync(join(this.#root, `${name(i)}.log`), 'a');
    const child = spawn(
      'etcd',
      [
        ...['--name', name(i), '--data-dir', join(this.#root, name(i)), '--unsafe-no-fsync', '--log-level', 'warn'],
        ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
        ...['--listen-peer-urls', peer(i), '--initial-advertise-peer-urls', peer(i)],
        ...['--initial-cluster', all.join(), '--initial-cluster-state', 'new', '--logger', 'zap'],
        ...args,
      ],
      { stdio: ['ignore', log, log] },
    );
    this.#processes[i] = child;
  }

  async killMember(i: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' = 'SIGKILL'): Promise<void> {
    const child = this.#processes[i];
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    if (signal === 'SIGKILL' && child.exitCode === null && child.signalCode === null) await gone;
  }

  /** Deletes the data of a member that was killed. */
  forgetMember(i: number): void {
    rmSync(join(this.#root, `m${i}`), { recursive: true });
  }

  /** Waits until etcd answers a request that needs a leader. */
  async serves(): Promise<void> {
    await until('etcd has a leader', async () => {
      try {
        await this.ask('/v3/kv/range', { key: 'AA==' });
        return true;
      } catch (error) {
        // Where it demands a token, it serves.
        if (/user name is empty|permission denied/.test(String(error))) return true;
        throw new Error(`${error}\n${this.logs()}`);
      }
    });
  }

  ask(path: string, body: unknown): Promise<Readonly<Record<string, unknown>>> {
    return this.#client.ask(path, body);
  }

  logs(): string {
    return this.endpoints.map((_, i) => readFileSync(join(this.#root, `m${i}.log`), 'utf8').slice(-2000)).join('\n');
  }

  async #end(): Promise<void> {
    this.#client[Symbol.dispose]();
    for (let i = 0; i < this.#processes.length; i++) await this.killMember(i);
  }
}

function inUrl(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
