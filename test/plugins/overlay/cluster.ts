/**
 * Machines of an overlay: network namespaces, each with its own NETLOOM_ROOT, joined by a bridge that plays the underlay. For test files that have become a host, in
 * whose namespace the underlay is.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { until } from '../../runtimes/until.ts';
import { NETLOOM } from '../../support/command.ts';
import { files, type Sandbox } from '../../support/host.ts';
import { type Json, Lab, type Output } from '../../support/lab.ts';

export type Family = 4 | 6;

/** A container with what its ADD answered. */
export interface Container {
  readonly sandbox: Sandbox;
  readonly result: Output;
  /** Without prefix. */
  readonly address: string;
}

export interface Machine {
  readonly name: string;
  readonly sandbox: Sandbox;
  readonly root: string;
  readonly address: string;
  readonly subnet: string;
}

/** Who asks: a container, or with its namespace alone a machine. */
type Who = Pick<Container, 'sandbox'> & Partial<Container>;

export interface ClusterOptions {
  /** Of the underlay. */
  readonly family?: Family;
  /** Of the containers. */
  readonly inner?: Family;
  readonly count?: number;
  readonly mtu?: number;
}

export class Cluster {
  readonly lab: Lab;
  readonly machines: readonly Machine[];
  readonly inner: Family;
  readonly subnet: string;
  readonly underlay: string;
  /** A directory that all machines see. */
  readonly store: string;

  constructor(
    t: Pick<ExecutionContext, 'teardown'>,
    { family = 4, inner = 4, count = 3, mtu = 1500 }: ClusterOptions = {},
  ) {
    this.lab = new Lab(t);
    this.inner = inner;
    this.underlay = family === 4 ? '192.0.2.0/24' : '2001:db8::/64';
    this.store = `${this.lab.root}/store`;
    mkdirSync(this.store);
    this.subnet = inner === 4 ? '10.96.0.0/16' : 'fd96::/48';
    execFileSync('ip', ['link', 'add', 'under0', 'mtu', `${mtu}`, 'type', 'bridge']);
    execFileSync('ip', ['link', 'set', 'under0', 'up']);
    this.machines = Array.from({ length: count }, (_, i) => this.#machine(i + 1, family, mtu));
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

  /** Where a plugin is executed: in the machine's namespace, with its files. */
  on({ sandbox, root }: Machine) {
    return { wrap: ['nsenter', `--net=${sandbox.path}`], environment: { NETLOOM_ROOT: root } };
  }

  add(machine: Machine, name: string, conf: Json = this.conf()): Container {
    const sandbox = this.lab.sandbox(name);
    const result = this.lab.add(conf, { sandbox }, this.on(machine));
    return { sandbox, result, address: (result.ips?.[0]?.address ?? '').replace(/\/.*/, '') };
  }

  del(machine: Machine, { sandbox }: Pick<Container, 'sandbox'>, conf: Json = this.conf()): void {
    this.lab.del(conf, { sandbox }, this.on(machine));
  }

  /** Says what of the network a machine has: an error object, or an empty one. */
  check(machine: Machine, { sandbox, result }: Container, conf: Json = this.conf()): Output {
    return this.lab.exec('CHECK', { ...conf, prevResult: result }, { sandbox }, this.on(machine)).output;
  }

  /** The addresses that do not answer, of those that are asked. Its own is not: a container's `lo` is another plugin's. */
  unreached({ sandbox, address }: Who, addresses: readonly string[], options = ''): string[] {
    const others = addresses.filter((each) => each !== address);
    const script = others.map((each) => `ping -c 1 -W 10 -q ${options} ${each} >/dev/null 2>&1 || echo ${each}`);
    return sandbox.run('bash', '-c', script.join('\n')).split('\n').filter(Boolean);
  }

  /** The configuration of one machine where the nodes are in a directory that all of them see. */
  sharedConf({ name }: Machine, more: Json = {}): Json {
    const store = { type: 'file', path: this.store };
    return this.conf({ node: name, underlay: this.underlay, store, ...more });
  }

  /** Puts a conflist of the configuration on a machine. */
  conflist({ root }: Machine, conf: Json): void {
    const directory = `${root}/etc/cni/net.d`;
    mkdirSync(directory, { recursive: true });
    const { cniVersion, name, ...plugin } = conf;
    writeFileSync(`${directory}/net.conflist`, JSON.stringify({ cniVersion, name, plugins: [plugin] }));
  }

  /** Starts an agent on a machine, with a conflist of the configuration, and waits until it serves. It ends with the test. */
  async agent(t: Pick<ExecutionContext, 'teardown'>, machine: Machine, conf: Json): Promise<ChildProcess> {
    this.conflist(machine, conf);
    const child = spawn('nsenter', [`--net=${machine.sandbox.path}`, NETLOOM, 'agent'], {
      env: { PATH: process.env['PATH'], NETLOOM_ROOT: machine.root },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (data) => (said += data));
    const ended = new Promise<string>((resolve) => child.on('close', () => resolve(said)));
    t.teardown(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    await until('the agent serves', () => said.includes('serving calls'), ended);
    return child;
  }

  /** What a machine has that an attachment could leave behind. */
  snapshot({ sandbox, root }: Machine): string {
    const script = `ip -o link | sed -E 's/<.*//'; ip -o addr | grep -v fe80; ip route show table all; ip -6 route show table all; nft list ruleset`;
    // Forwarding stays on, and with it the kernel answers for the first address of each prefix.
    const ownDoing = /^(anycast|.*\b(fe80::|ff00::\/8)).*\n| linkdown|valid_lft \S+ preferred_lft \S+/gm;
    return [sandbox.run('bash', '-c', script).replace(ownDoing, ''), ...files(root)].join('\n');
  }

  #machine(number: number, family: Family, mtu: number): Machine {
    const name = `n${number}`;
    const sandbox = this.lab.sandbox(name);
    const address = family === 4 ? `192.0.2.1${number}` : `2001:db8::1${number}`;
    const subnet = this.inner === 4 ? `10.96.${number}.0/24` : `fd96:0:0:${number}::/64`;
    const wire = `under${number}`;
    execFileSync('bash', ['-e'], {
      input: `ip link add ${wire} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${sandbox.path}
        ip link set ${wire} master under0 up`,
    });
    sandbox.run(
      'bash',
      '-ec',
      `ip link set lo up; ip link set eth0 up; ip addr add ${address}/${family === 4 ? 24 : 64} dev eth0 ${family === 6 ? 'nodad' : ''}`,
    );
    const root = `${this.lab.root}/${name}`;
    mkdirSync(root);
    return { name, sandbox, root, address, subnet };
  }
}
