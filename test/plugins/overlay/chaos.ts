/**
 * Random events in a cluster: machines join, leave, crash, return and move; containers come and go; devices and entries
 * are removed; agents are killed; the store is rewritten or unreachable. The same seed gives the same events.
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { NETLOOM } from '../../support/command.ts';
import type { Json } from '../../support/lab.ts';
import { randomOf } from '../../support/random.ts';
import { bridgeOf, type Cluster, type Container, type Machine, tunnelOf } from './cluster.ts';
import { actualWays, expectedWays } from './ways.ts';

/** The most machines at a time, and the most containers on one of them. */
const MACHINES = 5;
const CONTAINERS = 3;
/** How many machines run at the start. */
const FIRST = 3;

/** A machine that runs. */
interface Running {
  readonly machine: Machine;
  readonly containers: Map<string, Container>;
  /** Its address on the underlay. */
  address: string;
  agent: ChildProcess | undefined;
  isCut: boolean;
  /** The state of the machine before it had anything of the overlay. */
  readonly before: string;
}

/** A machine that crashed. It still has its disk, and its record in the store. */
interface Crashed {
  readonly number: number;
  readonly address: string;
}

interface Kind {
  /** How often it happens, relative to the others. */
  readonly weight: number;
  readonly isPossible?: () => boolean;
  /** @returns a description of the event */
  readonly happen: () => string | Promise<string>;
}

export class Chaos {
  /** Descriptions of the events, in order. */
  readonly trace: string[] = [];
  readonly #t: ExecutionContext;
  readonly #cluster: Cluster;
  readonly #mode: string;
  readonly #random: () => number;
  readonly #running = new Map<number, Running>();
  readonly #crashed = new Map<number, Crashed>();
  /** The prefix of each known node since it joined. */
  readonly #prefixes = new Map<string, string>();
  #isStoreAway = false;
  #addresses = 100;
  #names = 0;

  constructor(t: ExecutionContext, cluster: Cluster, mode: string, seed: number) {
    this.#t = t;
    this.#cluster = cluster;
    this.#mode = mode;
    this.#random = randomOf(seed);
  }

  async start(): Promise<void> {
    for (let i = 0; i < FIRST; i++) this.trace.push(await this.#join());
  }

  /** Runs one more event. */
  async step(): Promise<void> {
    const possible = this.#kinds().filter(({ isPossible }) => isPossible?.() ?? true);
    const [kind] = this.#one(possible.flatMap((each) => Array.from({ length: each.weight }, () => each)));
    if (kind !== undefined) this.trace.push(await kind.happen());
  }

  /** Removes all obstacles: the store is reachable, cables are plugged in, agents run. */
  async calm(): Promise<void> {
    if (this.#isStoreAway) await this.#restoreStore();
    for (const one of this.#running.values()) {
      if (one.isCut) this.#plug(one);
      if (one.agent === undefined) await this.#startAgent(one);
    }
  }

  /** The differences between the actual and the expected state, as sentences; empty if there are none. */
  async differences(): Promise<string[]> {
    const nodes = await this.#cluster.shared.nodes();
    const wrong: string[] = [];
    for (const node of nodes) {
      const known = this.#prefixes.get(node.name);
      if (known === undefined) wrong.push(`the store has ${node.name}, which has left`);
      else if (known !== node.subnet) wrong.push(`${node.name} had ${known}, and has ${node.subnet}`);
    }
    if (new Set(nodes.map(({ subnet }) => subnet)).size < nodes.length) wrong.push('a prefix is there twice');
    for (const name of this.#prefixes.keys()) {
      if (!nodes.some((node) => node.name === name)) wrong.push(`the store lacks ${name}`);
    }
    for (const { machine, address, containers } of this.#running.values()) {
      const { name, sandbox } = machine;
      const recorded = nodes.find((node) => node.name === name)?.address;
      // A machine without containers need not have recorded its address: nobody wants to reach it, and its next
      // container records it.
      if (containers.size > 0 && recorded !== address)
        wrong.push(`${name} is at ${address}, the store has ${recorded}`);
      const [have, want] = [
        actualWays(this.#mode, machine),
        containers.size === 0 ? [] : expectedWays(this.#mode, name, nodes),
      ];
      for (const each of want) if (!have.includes(each)) wrong.push(`${name} lacks ${each}`);
      for (const each of have) if (!want.includes(each)) wrong.push(`${name} has ${each}`);
      const tunnel = tunnelOf(sandbox);
      const hasTunnel = containers.size > 0 && this.#mode !== 'direct';
      if ((tunnel !== undefined) !== hasTunnel) wrong.push(`${name} has ${tunnel === undefined ? 'no' : 'a'} tunnel`);
      const local = tunnel?.linkinfo?.info_data?.local;
      if (tunnel !== undefined && local !== address) wrong.push(`the tunnel of ${name} is at ${local}`);
      if ((bridgeOf(sandbox) !== undefined) !== containers.size > 0) wrong.push(`the bridge of ${name}`);
    }
    return wrong;
  }

  /** Which containers do not reach which others. */
  async gaps(): Promise<string[]> {
    return await this.#cluster.gaps([...this.#running.values()].flatMap(({ containers }) => [...containers.values()]));
  }

  /** The messages of CHECK, from each machine. */
  complaints(): string[] {
    return [...this.#running.values()].flatMap(({ machine, containers }) => {
      const [first] = containers.values();
      if (first === undefined) return [];
      const { msg, details = '' } = this.#cluster.check(machine, first, this.#conf(machine));
      return msg === undefined ? [] : [`${machine.name}: ${msg} ${details}`];
    });
  }

  #kinds(): Kind[] {
    const { size } = this.#running;
    const isStoreThere = () => !this.#isStoreAway;
    // Two, because one of them may be the machine that leaves.
    const canReclaim = () => isStoreThere() && this.#with(isConnected).length > 1;
    return [
      { weight: 8, isPossible: () => this.#with(hasRoom).length > 0, happen: () => this.#attach(this.#pick(hasRoom)) },
      { weight: 5, isPossible: () => this.#with(hasContainers).length > 0, happen: () => this.#detach() },
      { weight: 3, isPossible: () => !this.#isStoreAway && this.#free().length > 0, happen: () => this.#join() },
      { weight: 2, isPossible: () => canReclaim() && size > 2, happen: () => this.#leave() },
      { weight: 2, isPossible: () => size > 2, happen: () => this.#crash() },
      { weight: 3, isPossible: () => this.#crashed.size > 0, happen: () => this.#return() },
      { weight: 1, isPossible: () => canReclaim() && this.#crashed.size > 0, happen: () => this.#giveUp() },
      { weight: 4, happen: () => this.#move() },
      { weight: 6, isPossible: () => this.#with(hasContainers).length > 0, happen: () => this.#breakDevice() },
      { weight: 1, isPossible: () => this.#with(hasContainers).length > 0, happen: () => this.#removeBridge() },
      { weight: 2, isPossible: () => this.#with(hasContainers).length > 0, happen: () => this.#removeEntries() },
      { weight: 3, isPossible: isStoreThere, happen: () => this.#disturb() },
      { weight: 2, happen: () => (this.#isStoreAway ? this.#restoreStore() : this.#takeStoreAway()) },
      { weight: 3, happen: () => this.#agent() },
      { weight: 2, happen: () => this.#cable() },
    ];
  }

  async #attach(one: Running): Promise<string> {
    const name = `c${++this.#names}`;
    one.containers.set(name, this.#cluster.add(one.machine, name, this.#conf(one.machine)));
    return `${one.machine.name}: ${name} is attached`;
  }

  #detach(): string {
    const one = this.#pick(hasContainers);
    const [name = ''] = this.#one([...one.containers.keys()]);
    this.#remove(one, name);
    return `${one.machine.name}: ${name} is detached`;
  }

  async #join(): Promise<string> {
    const number = this.#free()[0] ?? 0;
    await this.#boot(number, this.#cluster.addressOn(10 + number));
    const { name } = this.#cluster.placeOf(number);
    return `${name} joins`;
  }

  /** Takes a machine out of service: removes its containers, then reclaims its prefix. */
  async #leave(): Promise<string> {
    const one = this.#pick();
    const { machine } = one;
    for (const name of [...one.containers.keys()]) this.#remove(one, name);
    const left = this.#remains(machine);
    if (left !== one.before)
      throw new Error(`${machine.name} leaves something behind:\n${left}\nbefore:\n${one.before}`);
    await this.#powerOff(one);
    this.#reclaim(machine.name);
    rmSync(machine.root, { recursive: true });
    return `${machine.name} leaves`;
  }

  async #crash(): Promise<string> {
    const one = this.#pick();
    const { number, name } = one.machine;
    // NB: the address that it really has. If it moved, it may not have recorded that address yet.
    const address = one.address;
    await this.#powerOff(one);
    this.#crashed.set(number, { number, address });
    return `${name} crashes`;
  }

  async #return(): Promise<string> {
    const [crashed] = this.#one([...this.#crashed.values()]);
    if (crashed === undefined) return 'nobody returns';
    const { number, address } = crashed;
    const { name, root } = this.#cluster.placeOf(number);
    const nodes = this.#isStoreAway ? [] : await this.#cluster.shared.nodes();
    const recorded = nodes.find((node) => node.name === name)?.address;
    // With an empty disk it is only recognised at the address in the store.
    const isEmpty = recorded === address && this.#random() < 0.5;
    if (isEmpty) rmSync(`${root}/var`, { recursive: true, force: true });
    this.#crashed.delete(number);
    await this.#boot(number, address);
    return `${name} returns${isEmpty ? ' with an empty disk' : ''}`;
  }

  #giveUp(): string {
    const [crashed] = this.#one([...this.#crashed.values()]);
    if (crashed === undefined) return 'nobody is given up';
    const { name, root } = this.#cluster.placeOf(crashed.number);
    this.#crashed.delete(crashed.number);
    this.#reclaim(name);
    rmSync(root, { recursive: true });
    return `${name} is given up`;
  }

  #move(): string {
    const one = this.#pick();
    const to = this.#cluster.addressOn(++this.#addresses);
    this.#cluster.move(one.machine, one.address, to);
    one.address = to;
    return `${one.machine.name} moves to ${to}`;
  }

  #breakDevice(): string {
    const { machine } = this.#pick(hasContainers);
    const { sandbox, name } = machine;
    const [bridge, tunnel] = [bridgeOf(sandbox)?.ifname, tunnelOf(sandbox)?.ifname];
    const ways = [
      `ip link set ${bridge} down`,
      `ip addr flush dev ${bridge}`,
      `ip link set ${bridge} mtu 1300`,
      ...(tunnel === undefined
        ? []
        : [
            `ip link del ${tunnel}`,
            `ip link del ${tunnel}`,
            `ip link set ${tunnel} down`,
            `ip link set ${tunnel} address 02:00:00:00:00:01`,
          ]),
    ];
    const [way = ''] = this.#one(ways);
    // The agent may be replacing the device at this moment.
    sandbox.run('bash', '-c', `${way} || true`);
    return `${name}: ${way}`;
  }

  /** Cuts off the containers of a machine; a runtime then attaches them again. */
  #removeBridge(): string {
    const one = this.#pick(hasContainers);
    const { sandbox, name } = one.machine;
    sandbox.run('ip', 'link', 'del', bridgeOf(sandbox)?.ifname ?? '');
    const names = [...one.containers.keys()];
    for (const each of names) this.#remove(one, each);
    for (const each of names) one.containers.set(each, this.#cluster.add(one.machine, each, this.#conf(one.machine)));
    return `${name}: its bridge is removed, ${names.join(', ')} are attached anew`;
  }

  /** Nothing reports this at once: the next ADD finds it. */
  async #removeEntries(): Promise<string> {
    const one = this.#pick(hasContainers);
    const { sandbox, name } = one.machine;
    const tunnel = tunnelOf(sandbox)?.ifname;
    const ways = [
      'ip route flush proto 111',
      ...(tunnel === undefined ? [] : [`ip neigh flush dev ${tunnel} nud permanent`]),
      ...(tunnel === undefined
        ? []
        : [`bridge fdb show dev ${tunnel} | while read -r mac rest; do bridge fdb del $mac dev ${tunnel}; done`]),
    ];
    const [way = ''] = this.#one(ways);
    sandbox.run('bash', '-c', `${way} || true`);
    return `${name}: ${way}; ${await this.#attach(one)}`;
  }

  async #disturb(): Promise<string> {
    const kind = Math.floor(this.#random() * 2);
    await this.#cluster.shared.disturb(kind);
    return `the store is disturbed (${kind})`;
  }

  async #takeStoreAway(): Promise<string> {
    this.#isStoreAway = true;
    await this.#cluster.shared.takeAway();
    return 'the store is away';
  }

  async #restoreStore(): Promise<string> {
    await this.#cluster.shared.restore();
    this.#isStoreAway = false;
    return 'the store is back';
  }

  async #agent(): Promise<string> {
    const one = this.#pick();
    if (one.agent === undefined) return await this.#startAgent(one);
    await this.#stopAgent(one);
    return `${one.machine.name}: the agent is killed`;
  }

  #cable(): string {
    const one = this.#pick();
    if (one.isCut) return this.#plug(one);
    this.#cluster.cable(one.machine, 'down');
    one.isCut = true;
    return `${one.machine.name} is cut off`;
  }

  #plug(one: Running): string {
    this.#cluster.cable(one.machine, 'up');
    one.isCut = false;
    return `${one.machine.name} is connected again`;
  }

  async #boot(number: number, address: string): Promise<void> {
    const machine = this.#cluster.boot(number, address);
    // A runtime does this after a boot: it has no containers.
    this.#cluster.gc(machine, [], this.#conf(machine));
    const one: Running = {
      machine,
      containers: new Map(),
      address,
      agent: undefined,
      isCut: false,
      before: this.#remains(machine),
    };
    this.#running.set(number, one);
    await this.#startAgent(one);
    await this.#attach(one);
    if (this.#isStoreAway || this.#prefixes.has(machine.name)) return;
    const joined = (await this.#cluster.shared.nodes()).find(({ name }) => name === machine.name);
    if (joined === undefined) throw new Error(`${machine.name} has joined, and the store lacks it`);
    this.#prefixes.set(machine.name, joined.subnet);
  }

  async #powerOff(one: Running): Promise<void> {
    await this.#stopAgent(one);
    this.#cluster.cutPower(one.machine);
    for (const { sandbox } of one.containers.values()) sandbox[Symbol.dispose]();
    this.#running.delete(one.machine.number);
  }

  async #startAgent(one: Running): Promise<string> {
    one.agent = await this.#cluster.agent(this.#t, one.machine, this.#conf(one.machine));
    return `${one.machine.name}: the agent is started`;
  }

  async #stopAgent(one: Running): Promise<void> {
    const { agent } = one;
    one.agent = undefined;
    if (agent === undefined) return;
    const ended = once(agent, 'close');
    agent.kill('SIGKILL');
    await ended;
  }

  #remove(one: Running, name: string): void {
    const container = one.containers.get(name);
    if (container === undefined) return;
    this.#cluster.del(one.machine, container, this.#conf(one.machine));
    one.containers.delete(name);
    container.sandbox[Symbol.dispose]();
  }

  #reclaim(name: string): void {
    const { machine } = this.#pick(isConnected);
    const { sandbox, root } = machine;
    this.#cluster.conflist(machine, this.#conf(machine));
    const environment = { PATH: process.env['PATH'], NETLOOM_ROOT: root };
    const args = ['overlay', 'reclaim', 'net', name, '--grace', '0'];
    execFileSync('nsenter', [`--net=${sandbox.path}`, NETLOOM, ...args], { env: environment, stdio: 'pipe' });
    this.#prefixes.delete(name);
  }

  /** The state without what a node keeps for good, and independent of its present address. */
  #remains(machine: Machine): string {
    return (
      this.#cluster
        .snapshot(machine)
        .split('\n')
        // The file of known nodes has a line for each change.
        .filter((line) => line !== '' && !/^((var\/lib\/netloom|etc\/cni|run)\/|\{"(put|gone)":)/.test(line))
        .join('\n')
        .replaceAll(/192\.0\.2\.\d+/g, 'ADDRESS')
    );
  }

  #conf(machine: Machine): Json {
    return this.#cluster.sharedConf(machine, { mode: this.#mode });
  }

  /** The numbers of machines that neither run nor have a record. */
  #free(): number[] {
    return Array.from({ length: MACHINES }, (_, i) => i + 1).filter(
      (number) => !this.#running.has(number) && !this.#crashed.has(number),
    );
  }

  #with(condition: (one: Running) => boolean): Running[] {
    return [...this.#running.values()].filter(condition);
  }

  #pick(condition: (one: Running) => boolean = () => true): Running {
    const [one] = this.#one(this.#with(condition));
    if (one === undefined) throw new Error('there is none');
    return one;
  }

  /** A random element, in an array; an empty array if there is none. */
  #one<T>(all: readonly T[]): T[] {
    return all.slice(Math.floor(this.#random() * all.length)).slice(0, 1);
  }
}

function hasContainers({ containers }: Running): boolean {
  return containers.size > 0;
}

function hasRoom({ containers }: Running): boolean {
  return containers.size < CONTAINERS;
}

function isConnected({ isCut }: Running): boolean {
  return !isCut;
}
