/**
 * The cost of existing published ports: for an ADD of portmap, and for a new connection to the port that was published
 * last.
 */
import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cidr } from '../../src/net/cidr.ts';
import { Ip } from '../../src/net/ip.ts';
import { publish } from '../../src/nft/portmap/portmap.ts';
import { openNft } from '../../src/nft/socket.ts';
import { Sandbox } from '../../test/support/host.ts';
import { callEnvironment } from '../environment.ts';
import {
  type Bench,
  budgetCell,
  type Experiment,
  type Report,
  SIDES,
  type Side,
  type SideName,
} from '../experiment.ts';
import { round, summarize } from '../statistics.ts';

const PUBLISHED = 5000;
/** From the issue that asked for it. */
const ADD_BUDGET = 1.2;
const LATENCY_BUDGET = 1.1;
/** How many connections are made to each of the two ports. */
const CONNECTIONS = 1000;

const HOST = '10.64.0.1';
/** The two addresses of one container. Publishing by address means the container that has it. */
const CONTAINER = '10.64.0.2';
const CONTAINER_TOO = '10.64.0.3';
const FIRST = 20_000;
const LAST = FIRST + PUBLISHED - 1;

interface Measured {
  readonly none: number;
  readonly full: number;
  readonly first: number;
  readonly last: number;
}

export const portmap: Experiment = {
  name: 'portmap',
  about: `ADD of portmap beside ${PUBLISHED} published ports and beside none, and a new connection to the first and the last of them`,
  async run(bench: Bench): Promise<Report> {
    const measured = {} as Record<SideName, Measured>;
    for (const side of SIDES) measured[side] = await measure(bench, bench[side]);
    const { reference, netloom } = measured;
    const row = (what: string, of: keyof Measured) => {
      const [theirs, ours] = [reference[of], netloom[of]];
      return [what, theirs.toFixed(3), ours.toFixed(3), (ours / theirs).toFixed(2), ''];
    };
    const growth = (what: string, few: keyof Measured, many: keyof Measured, budget: number) => {
      const [theirs, ours] = [reference[many] / reference[few], netloom[many] / netloom[few]];
      return [what, `× ${theirs.toFixed(2)}`, `× ${ours.toFixed(2)}`, '', budgetCell(budget)];
    };
    return {
      heads: ['published ports', 'reference ms', 'netloom ms', 'ratio', 'budget'],
      rows: [
        row('ADD beside none', 'none'),
        row(`ADD beside ${PUBLISHED}`, 'full'),
        growth('growth', 'none', 'full', ADD_BUDGET),
        row('connection to the first', 'first'),
        row(`connection to the ${PUBLISHED}th`, 'last'),
        growth('growth', 'first', 'last', LATENCY_BUDGET),
      ],
      figures: measured,
    };
  },
};

async function measure(bench: Bench, side: Side): Promise<Measured> {
  using sandbox = new Sandbox(bench.root, `portmap-${side.name}`);
  wire(sandbox);
  const server = await listen(sandbox);
  try {
    const none = adds(bench, side, sandbox);
    call(bench, side, sandbox, 'ADD', 'first', FIRST);
    if (side.name === 'netloom') fillMap();
    else fillChains();
    call(bench, side, sandbox, 'ADD', 'last', LAST);
    const full = adds(bench, side, sandbox);
    const [first, last] = await connections();
    return { none, full, first, last };
  } finally {
    server.kill('SIGKILL');
    spawnSync('iptables', ['-t', 'nat', '-F']);
    spawnSync('iptables', ['-t', 'nat', '-X']);
    spawnSync('nft', ['flush', 'ruleset']);
    spawnSync('ip', ['link', 'del', 'bench0']);
  }
}

/** Wires the container by hand, because only portmap is measured. */
function wire(sandbox: Sandbox): void {
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('link', 'add', 'bench0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', sandbox.path);
  ip('addr', 'add', `${HOST}/16`, 'dev', 'bench0');
  ip('link', 'set', 'bench0', 'up');
  for (const address of [CONTAINER, CONTAINER_TOO]) sandbox.run('ip', 'addr', 'add', `${address}/16`, 'dev', 'eth0');
  sandbox.run('ip', 'link', 'set', 'eth0', 'up');
}

async function listen(sandbox: Sandbox) {
  const answerer = fileURLToPath(new URL('../../test/support/answerer.ts', import.meta.url));
  const options: SpawnOptions = { stdio: ['ignore', 'pipe', 'inherit'] };
  const server = spawn('nsenter', [`--net=${sandbox.path}`, process.execPath, answerer, 'bench', '80'], options);
  await new Promise((resolve) => server.stdout?.once('data', resolve));
  return server;
}

/** The median time of an ADD of one port; each is undone again. */
function adds(bench: Bench, side: Side, sandbox: Sandbox): number {
  const times: number[] = [];
  for (let i = -2; i < bench.n; i++) {
    const { time } = call(bench, side, sandbox, 'ADD', 'measured', 9000);
    call(bench, side, sandbox, 'DEL', 'measured', 9000);
    if (i >= 0) times.push(time);
  }
  return summarize(times).median;
}

function call(
  { launcher, root }: Bench,
  side: Side,
  sandbox: Sandbox,
  command: string,
  container: string,
  port: number,
) {
  const address = { first: CONTAINER, last: CONTAINER_TOO }[container] ?? '10.64.0.4';
  const conf = {
    cniVersion: '1.0.0',
    name: 'bench',
    type: 'portmap',
    runtimeConfig: { portMappings: [{ hostPort: port, containerPort: 80, protocol: 'tcp' }] },
    prevResult: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: sandbox.path }],
      ips: [{ address: `${address}/16`, interface: 0 }],
    },
  };
  const environment = callEnvironment(side, root, command, { name: container, path: sandbox.path });
  return launcher.execute(join(side.plugins, 'portmap'), environment, JSON.stringify(conf));
}

/** Publishes one port for each of many containers, as the plugin writes them. */
function fillMap(): void {
  using nft = openNft();
  for (let port = FIRST + 1; port < LAST; port++) {
    publish(nft, [
      {
        container: addressOf(port),
        ports: [{ protocol: 'tcp', host: undefined, hostPort: port, containerPort: 80 }],
        masquerading: { subnet: Cidr.parse(`${CONTAINER}/16`), sources: 'subnet', localhost: '' },
        comment: `bench/c${port}/eth0`,
      },
    ]);
  }
}

/**
 * The same for the reference: copies the chain and the rule that it made for the first container once for each of the
 * others. Executing it that often would take hours.
 */
function fillChains(): void {
  const save = execFileSync('iptables-save', ['-t', 'nat'], { encoding: 'utf8' });
  const chain = /^:(CNI-DN-\w+)/m.exec(save)?.[1] ?? '';
  const rules = save.split('\n').filter((line) => line.startsWith('-A') && line.includes(chain));
  const lines: string[] = ['*nat'];
  const copies: string[] = [];
  for (let port = FIRST + 1; port < LAST; port++) {
    const name = `CNI-DN-${String(port).padStart(21, '0')}`;
    lines.push(`:${name} - [0:0]`);
    for (const rule of rules) {
      copies.push(
        rule
          .replaceAll(chain, name)
          .replaceAll(String(FIRST), String(port))
          .replaceAll(`${CONTAINER}:`, `${addressOf(port)}:`),
      );
    }
  }
  execFileSync('iptables-restore', ['--noflush'], { input: `${[...lines, ...copies, 'COMMIT'].join('\n')}\n` });
}

function addressOf(port: number): Ip {
  return Ip.parse(`10.64.0.0`).plus(BigInt(port));
}

/** The median times until a connection is established, to one port and the other in turn. */
async function connections(): Promise<[first: number, last: number]> {
  const times: [number[], number[]] = [[], []];
  for (let i = -50; i < CONNECTIONS; i++) {
    for (const [which, port] of [FIRST, LAST].entries()) {
      const time = await connectionTo(port);
      if (i >= 0) times[which]?.push(time);
    }
  }
  return [round(summarize(times[0]).median), round(summarize(times[1]).median)];
}

function connectionTo(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const socket = connect({ host: HOST, port });
    socket.on('error', reject);
    socket.on('connect', () => {
      const time = performance.now() - begin;
      socket.resetAndDestroy(); // leaves no port in TIME_WAIT
      resolve(time);
    });
  });
}
