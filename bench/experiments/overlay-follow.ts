/**
 * An agent with 5,000 peers in a store: how long a change of one peer takes from the store to the kernel, how much a
 * restart writes, and how much memory the agent needs. `ip monitor` reports when the kernel has the change, by the
 * machine's clock.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { put } from '../../src/overlay/etcd/wire.ts';
import { Etcd } from '../../test/support/etcd.ts';
import { Sandbox } from '../../test/support/host.ts';
import { until } from '../../test/support/until.ts';
import { callEnvironment } from '../environment.ts';
import type { Bench } from '../experiment.ts';
import { Resident } from '../resident.ts';
import { type Summary, summarize } from '../statistics.ts';

export interface Followed {
  /** From the store's answer to the kernel's event, in ms. */
  readonly change: Summary;
  /** How many events about links, addresses, neighbours and routes the kernel sends while an agent restarts. */
  readonly restart: number;
  /** PSS in MB: right after an ADD, and after the agent has been idle. */
  readonly busy: number;
  readonly rest: number;
}

/** A store that has all peers. */
interface Store {
  readonly conf: object;
  /** Gives a peer another address. @returns when the store has it, in ms since 1970 */
  move(number: number, address: string): Promise<number>;
}

export const NETWORK = 'followed';
const UNDERLAY = '192.0.0.0/16';
const OWN = '192.0.0.1';
/** How many changes of a single peer are measured. */
const CHANGES = 40;
/**
 * The pause before each change, in ms: the agent is idle then, as it nearly always is. It is no multiple of the agent's
 * own intervals.
 */
const BETWEEN = 370;

export async function followed(bench: Bench, kind: 'file' | 'etcd', peers: number): Promise<Followed> {
  await using things = new AsyncDisposableStack();
  const root = join(bench.root, `follow-${kind}`);
  mkdirSync(root, { recursive: true });
  execFileSync('bash', [
    '-ec',
    `ip link add follow0 type veth peer name follow1; ip link set follow0 up; ip link set follow1 up; ip addr add ${OWN}/16 dev follow0`,
  ]);
  things.defer(() => void execFileSync('ip', ['link', 'del', 'follow0']));
  const store = kind === 'file' ? directory(root, peers) : await etcd(things, root, peers);
  const plugin = { type: 'overlay', subnet: '10.64.0.0/10', node: 'own', underlay: UNDERLAY, store: store.conf };
  const conf = { cniVersion: '1.0.0', name: NETWORK };
  mkdirSync(join(root, 'etc/cni/net.d'), { recursive: true });
  writeFileSync(join(root, 'etc/cni/net.d/net.conflist'), JSON.stringify({ ...conf, plugins: [plugin] }));

  let resident = await Resident.start({ ...bench, root });
  things.defer(() => resident.stop());
  const sandbox = things.use(new Sandbox(root, 'container'));
  const call = (command: 'ADD' | 'DEL') =>
    bench.launcher.execute(
      join(bench.netloom.plugins, 'overlay'),
      callEnvironment(bench.netloom, root, command, sandbox),
      JSON.stringify({ ...conf, ...plugin }),
    );
  call('ADD');
  things.defer(() => void call('DEL'));
  const busy = resident.memory;
  using monitor = await Monitor.start();
  // Not measured. From this change on, the agent maintains the network.
  await store.move(1, '192.0.201.1');
  await monitor.tellsOf('192.0.201.1');
  await delay(5_000);
  const rest = resident.memory;

  const times: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    await delay(BETWEEN);
    const address = `192.0.200.${i + 1}`;
    const number = 1 + ((i * 37) % peers);
    const begin = await store.move(number, address);
    times.push((await monitor.tellsOf(address)) - begin);
  }
  await resident.stop();
  const before = monitor.count;
  resident = await Resident.start({ ...bench, root });
  // The event of this change comes after all those of the restart.
  await store.move(1, '192.0.201.2');
  await monitor.tellsOf('192.0.201.2');
  return { change: summarize(times), restart: monitor.count - before - 1, busy, rest };
}

/** The kernel's events about changes, with their times. */
class Monitor implements Disposable {
  readonly #child: ChildProcess;
  #said = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  static async start(): Promise<Monitor> {
    const objects = ['link', 'address', 'neigh', 'route'];
    const child = spawn('ip', ['-tshort', 'monitor', ...objects], {
      env: { ...process.env, TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const monitor = new Monitor(child);
    // `ip monitor` does not report when it begins.
    await until('the monitor hears what is done', () => {
      execFileSync('ip', ['link', 'set', 'follow1', 'alias', `heard ${performance.now()}`]);
      return monitor.count > 0;
    });
    return monitor;
  }

  /** How many events there were. Each begins with its time. */
  get count(): number {
    return this.#said.match(/^\[/gm)?.length ?? 0;
  }

  /** When the kernel reported an entry that leads to the address, in ms since 1970. */
  async tellsOf(address: string): Promise<number> {
    const pattern = new RegExp(`^\\[(\\S+?)(\\d{3})\\] ${address.replaceAll('.', '\\.')} `, 'm');
    await until(`the kernel has ${address}`, () => pattern.test(this.#said));
    const [, time, microseconds] = pattern.exec(this.#said) ?? [];
    return Date.parse(`${time}Z`) + Number(microseconds) / 1000;
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

function record(number: number, address: string): { readonly subnet: string; readonly text: string } {
  const subnet = `10.${64 + (number >> 8)}.${number & 255}.0/24`;
  return { subnet, text: JSON.stringify({ name: `node${number}`, address, subnet, machine: `machine${number}` }) };
}

function addressOf(number: number): string {
  return `192.0.${100 + (number >> 8)}.${number & 255}`;
}

export function directory(root: string, peers: number): Store {
  const path = join(root, 'store');
  mkdirSync(path);
  const fileOf = (subnet: string) => join(path, `${subnet.replace('/', '_')}.json`);
  for (let number = 1; number <= peers; number++) {
    const { subnet, text } = record(number, addressOf(number));
    writeFileSync(fileOf(subnet), text);
  }
  return {
    conf: { type: 'file', path },
    move(number, address) {
      const { subnet, text } = record(number, address);
      writeFileSync(join(path, '.moved'), text);
      const clock = new Clock();
      renameSync(join(path, '.moved'), fileOf(subnet));
      return Promise.resolve(clock.now());
    },
  };
}

export async function etcd(things: AsyncDisposableStack, root: string, peers: number): Promise<Store> {
  const teardown = (end: () => unknown) => things.defer(async () => void (await end()));
  const server = await Etcd.start({ teardown }, root);
  const base = `/netloom/${NETWORK}`;
  const keysOf = (number: number) => {
    const { subnet, text } = record(number, addressOf(number));
    return [
      put(`${base}/nodes/node${number}`, text),
      put(`${base}/prefixes/${subnet.replace('/', '_')}`, `node${number}`),
    ];
  };
  const all = Array.from({ length: peers }, (_, i) => keysOf(i + 1)).flat();
  // A transaction has at most 128 operations.
  for (let i = 0; i < all.length; i += 128) await server.ask('/v3/kv/txn', { success: all.slice(i, i + 128) });
  return {
    conf: { type: 'etcd', endpoints: server.endpoints },
    async move(number, address) {
      const { key, value } = put(`${base}/nodes/node${number}`, record(number, address).text).request_put;
      const clock = new Clock();
      await server.ask('/v3/kv/put', { key, value });
      return clock.now();
    },
  };
}

/** The time since 1970, with a finer resolution than Date. */
class Clock {
  readonly #offset: number;

  constructor() {
    const begin = Date.now();
    while (Date.now() === begin);
    this.#offset = Date.now() - performance.now();
  }

  now(): number {
    return this.#offset + performance.now();
  }
}
