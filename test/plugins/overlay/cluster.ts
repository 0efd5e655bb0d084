/**
 * Machines of an overlay: network namespaces, each with its own NETLOOM_ROOT, joined by a bridge that plays the
 * underlay. For test files that have become a host; the underlay is in the host's namespace.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { NETLOOM } from '../../support/command.ts';
import { files, type Sandbox } from '../../support/host.ts';
import { type Json, Lab, type Output } from '../../support/lab.ts';
import { until } from '../../support/until.ts';
import { DirectoryStore, type SharedStore } from './shared-store.ts';

export type Family = 4 | 6;

/** A container with the result of its ADD. */
export interface Container {
  readonly sandbox: Sandbox;
  readonly result: Output;
  /** Without prefix length. */
  readonly address: string;
}

export interface Machine {
  readonly name: string;
  readonly number: number;
  readonly sandbox: Sandbox;
  readonly root: string;
  readonly address: string;
  readonly subnet: string;
}

/** A device of the overlay, as `ip` prints it. */
export interface Device {
  readonly ifname: string;
  readonly address: string;
  readonly linkinfo?: { readonly info_data?: { readonly local?: string } };
}

/** Where requests come from: a container, or a machine if there is only a namespace. */
type Who = Pick<Container, 'sandbox'> & Partial<Container>;

export interface ClusterOptions {
  /** The address family of the underlay. */
  readonly family?: Family;
  /** The address family of the containers. */
  readonly inner?: Family;
  readonly count?: number;
  readonly mtu?: number;
}

/**
 * How many containers ask all others at a time. More would fill the neighbour table, which other tests need at the same
 * time.
 */
const AT_ONCE = 5;

export class Cluster {
  readonly lab: Lab;
  readonly machines: readonly Machine[];
  readonly inner: Family;
  readonly subnet: string;
  readonly underlay: string;
  /** Where machines with a shared configuration find each other: a directory, until a test replaces it. */
  shared: SharedStore;
  readonly #family: Family;
  readonly #mtu: number;

  constructor(
    t: Pick<ExecutionContext, 'teardown'>,
    { family = 4, inner = 4, count = 3, mtu = 1500 }: ClusterOptions = {},
  ) {
    this.lab = new Lab(t);
    this.#family = family;
    this.#mtu = mtu;
    this.inner = inner;
    this.underlay = family === 4 ? '192.0.2.0/24' : '2001:db8::/64';
    this.shared = new DirectoryStore(this.lab.root);
    this.subnet = inner === 4 ? '10.96.0.0/16' : 'fd96::/48';
    // NB: a bridge with a MAC of its own. Otherwise it has the MAC of one of its ports, and changes it when that port
    // goes. Neighbours that know the old MAC are then cut off for half a minute.
    const mac = '02:00:5e:00:53:00';
    execFileSync('ip', ['link', 'add', 'under0', 'address', mac, 'mtu', `${mtu}`, 'type', 'bridge']);
    execFileSync('ip', ['link', 'set', 'under0', 'up']);
    this.machines = Array.from({ length: count }, (_, i) => this.boot(i + 1));
  }

  conf(more: Json = {}): Json {
    return {
      cniVersion: '1.1.0',
      name: 'net',
      type: 'overlay',
      subnet: this.subnet,
      store: { type: 'static', nodes: this.nodes() },
      ...more,
    };
  }

  nodes(): Json[] {
    return this.machines.map(({ name, address, subnet }) => ({ name, address, subnet }));
  }

  /** Options with which plugins run in the machine's namespace, with its files. */
  on({ sandbox, root }: Machine) {
    return { wrap: ['nsenter', `--net=${sandbox.path}`], environment: { NETLOOM_ROOT: root } };
  }

  add(machine: Machine, name: string, conf: Json = this.conf()): Container {
    const sandbox = this.lab.sandbox(name);
    const result = this.lab.add(conf, { sandbox }, this.on(machine));
    return { sandbox, result, address: addressOf(result) };
  }

  /** Attaches containers, all at once. */
  async addAll(machine: Machine, names: readonly string[], conf: Json): Promise<Container[]> {
    const sandboxes = names.map((name) => this.lab.sandbox(name));
    const ends = sandboxes.map(async (sandbox): Promise<Container> => {
      const { status, output, stderr } = await this.lab.start('ADD', conf, { sandbox }, this.on(machine));
      if (status !== 0) throw new Error(`ADD of ${sandbox.name} left with ${status}: ${output.msg} ${stderr}`);
      return { sandbox, result: output, address: addressOf(output) };
    });
    return await Promise.all(ends);
  }

  del(machine: Machine, { sandbox }: Pick<Container, 'sandbox'>, conf: Json = this.conf()): void {
    this.lab.del(conf, { sandbox }, this.on(machine));
  }

  /** A GC after which only these containers are left. */
  gc(machine: Machine, valid: readonly Container[], conf: Json): void {
    const attachments = valid.map(({ sandbox }) => ({ containerID: sandbox.name, ifname: 'eth0' }));
    const { status, output } = this.lab.exec(
      'GC',
      { ...conf, 'cni.dev/valid-attachments': attachments },
      {},
      this.on(machine),
    );
    if (status !== 0) throw new Error(`GC on ${machine.name}: ${output.msg}`);
  }

  /** CHECK. @returns an error object, or an empty one */
  check(machine: Machine, { sandbox, result }: Container, conf: Json = this.conf()): Output {
    return this.lab.exec('CHECK', { ...conf, prevResult: result }, { sandbox }, this.on(machine)).output;
  }

  /**
   * The addresses that do not answer. Each is asked once a second for ten seconds, unless the options of ping differ.
   * The asking container's own address is left out, because its `lo` is the job of another plugin.
   */
  unreached({ sandbox, address }: Who, addresses: readonly string[], options = '-w 10'): string[] {
    const others = addresses.filter((each) => each !== address);
    const script = others.map((each) => `ping -c 1 -W 10 -q ${options} ${each} >/dev/null 2>&1 || echo ${each}`);
    return sandbox.run('bash', '-c', script.join('\n')).split('\n').filter(Boolean);
  }

  /**
   * Which containers do not reach which others, as `n1a → 10.96.2.3`; empty if all reach all. Each is asked a few
   * times.
   * NB: only a few ask at a time, and on a shared layer 2 their neighbour tables are flushed afterwards. There each
   * pair makes two neighbour entries, and a kernel keeps 1024 for all its namespaces together (gc_thresh3). It silently
   * drops what exceeds this, and counts it in table_fulls of /proc/net/stat/arp_cache. Entries that were not used for 5
   * s make room, so asking goes on for longer than that.
   */
  async gaps(from: readonly Container[], ...options: string[]): Promise<string[]> {
    const gaps: string[] = [];
    for (let i = 0; i < from.length; i += AT_ONCE) {
      const asking = from.slice(i, i + AT_ONCE).map(async ({ sandbox, address }) => {
        const others = from.map((each) => each.address).filter((other) => other !== address);
        if (others.length === 0) return [];
        const silent = await silentOf(sandbox, [...options, ...others]);
        return silent.map((other) => `${sandbox.name} → ${other}`);
      });
      gaps.push(...(await Promise.all(asking)).flat());
      if (this.#isOneLink(from)) {
        const forget = from.map(({ sandbox }) => `nsenter --net=${sandbox.path} ip neigh flush all`);
        execFileSync('bash', ['-c', `{ ${forget.join('; ')}; } 2>&1`]);
      }
    }
    return gaps;
  }

  /** Whether containers have the whole network on their link, as in the mode `l2`. */
  #isOneLink(containers: readonly Container[]): boolean {
    const [, length = ''] = this.subnet.split('/');
    return containers.some(({ result }) => result.ips?.[0]?.address.endsWith(`/${length}`));
  }

  /** The configuration of one machine, with the nodes in a store that all machines share. */
  sharedConf({ name }: Machine, more: Json = {}): Json {
    return this.conf({ node: name, underlay: this.underlay, store: this.shared.conf, ...more });
  }

  /** Puts a conflist with the configuration on a machine. */
  conflist({ root }: Machine, conf: Json): void {
    const directory = `${root}/etc/cni/net.d`;
    mkdirSync(directory, { recursive: true });
    const { cniVersion, name, ...plugin } = conf;
    writeFileSync(`${directory}/${name}.conflist`, JSON.stringify({ cniVersion, name, plugins: [plugin] }));
  }

  /**
   * Starts an agent on a machine, with a conflist of the configuration, and waits until it serves. It ends with the
   * test.
   * @param environment further variables
   */
  async agent(
    t: Pick<ExecutionContext, 'teardown'>,
    machine: Machine,
    conf: Json,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<ChildProcess> {
    this.conflist(machine, conf);
    const child = spawn('nsenter', [`--net=${machine.sandbox.path}`, NETLOOM, 'agent'], {
      env: { PATH: process.env['PATH'], NETLOOM_ROOT: machine.root, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (data) => (said += data));
    const ended = new Promise<string>((resolve) => child.on('close', () => resolve(said)));
    t.teardown(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    await until('the agent serves', () => said.includes('serving calls'), { end: ended });
    return child;
  }

  /** Everything on a machine that an attachment could leave behind. */
  snapshot({ sandbox, root }: Machine): string {
    const script = `ip -o link | sed -E 's/<.*//'; ip -o addr | grep -v fe80; ip route show table all; ip -6 route show table all; nft list ruleset`;
    // Forwarding stays on; the kernel then answers for the first address of each prefix.
    const ownDoing = /^(anycast|.*\b(fe80::|ff00::\/8)).*\n| linkdown|valid_lft \S+ preferred_lft \S+/gm;
    return [sandbox.run('bash', '-c', script).replace(ownDoing, ''), ...files(root)].join('\n');
  }

  /** An address on the underlay. */
  addressOn(number: number): string {
    return this.#family === 4 ? `192.0.2.${number}` : `2001:db8::${number}`;
  }

  /** What is left of a machine while it is down. */
  placeOf(number: number): Pick<Machine, 'name' | 'root'> {
    const name = `n${number}`;
    return { name, root: `${this.lab.root}/${name}` };
  }

  /** Boots a machine, for the first time or with the disk that it had. */
  boot(number: number, address = this.addressOn(10 + number)): Machine {
    const { name, root } = this.placeOf(number);
    const sandbox = this.lab.sandbox(name);
    const isV4 = this.#family === 4;
    const subnet = this.inner === 4 ? `10.96.${number}.0/24` : `fd96:0:0:${number}::/64`;
    const wire = wireOf(number);
    const mac = `02:00:5e:00:53:${number.toString(16).padStart(2, '0')}`;
    const mtu = this.#mtu;
    execFileSync('bash', ['-e'], {
      input: `ip link add ${wire} mtu ${mtu} type veth peer name eth0 mtu ${mtu} address ${mac} netns ${sandbox.path}
        ip link set ${wire} master under0 up`,
    });
    sandbox.run(
      'bash',
      '-ec',
      `ip link set lo up; ip link set eth0 up; ip addr add ${address}/${isV4 ? 24 : 64} dev eth0 ${isV4 ? '' : 'nodad'}`,
    );
    mkdirSync(root, { recursive: true });
    return { name, number, sandbox, root, address, subnet };
  }

  /**
   * Cuts a machine's power. Its disk stays, except for directories that a boot empties. NB: kill agents that were
   * started there first.
   */
  cutPower({ number, sandbox, root }: Machine): void {
    this.lab.agents.end(root);
    execFileSync('ip', ['link', 'del', wireOf(number)]);
    sandbox[Symbol.dispose]();
    rmSync(`${root}/run`, { recursive: true, force: true });
  }

  /** Gives a machine another address on the underlay, instead of the one that it had. */
  move({ sandbox }: Pick<Machine, 'sandbox'>, from: string, to: string): void {
    const [prefix, nodad] = this.#family === 4 ? [24, ''] : [64, 'nodad'];
    // NB: in this order. A second address in the same prefix goes with the first.
    const script = `ip addr del ${from}/${prefix} dev eth0; ip addr add ${to}/${prefix} dev eth0 ${nodad}`;
    sandbox.run('bash', '-ec', script);
  }

  /** Unplugs the machine's cable to the underlay, or plugs it in again. */
  cable({ number }: Machine, state: 'up' | 'down'): void {
    execFileSync('ip', ['link', 'set', wireOf(number), state]);
  }
}

/** The device for packets to other machines, if there is one. */
export function tunnelOf(sandbox: Sandbox): Device | undefined {
  return sandbox.ip<Device>('link', 'show', 'type', 'vxlan').find(({ ifname }) => ifname.startsWith('nlx-'));
}

/** The bridge of a machine's containers. */
export function bridgeOf(sandbox: Sandbox): Device | undefined {
  return sandbox.ip<Device>('link', 'show', 'type', 'bridge').find(({ ifname }) => ifname.startsWith('nlb-'));
}

/** The underlay's end of a machine's cable. */
function wireOf(number: number): string {
  return `under${number}`;
}

function addressOf({ ips }: Output): string {
  return (ips?.[0]?.address ?? '').replace(/\/.*/, '');
}

/** The addresses that do not answer fping. */
function silentOf(sandbox: Sandbox, args: readonly string[]): Promise<string[]> {
  const child = spawn('nsenter', [`--net=${sandbox.path}`, 'fping', '-u', '-r', '6', '-t', '500', '-i', '1', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let silent = '';
  let said = '';
  child.stdout.on('data', (data) => (silent += data));
  child.stderr.on('data', (data) => (said += data)); // such as the answers of routers
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0 || status === 1) resolve(silent.split('\n').filter(Boolean));
      else reject(new Error(`fping ${args.join(' ')} in ${sandbox.name} left with ${status}: ${said}`));
    });
  });
}
