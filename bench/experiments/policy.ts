/** The cost of many policies: for an ADD, and for packets between two containers that may talk. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Ip } from '../../src/net/ip.ts';
import * as policy from '../../src/nft/policy.ts';
import type { Box } from '../../src/nft/policy-boxes.ts';
import { openNft } from '../../src/nft/socket.ts';
import { Sandbox } from '../../test/support/host.ts';
import { callEnvironment } from '../environment.ts';
import { type Bench, budgetCell, type Experiment, type Report } from '../experiment.ts';
import { compile } from '../launcher.ts';
import { round, summarize } from '../statistics.ts';

const ENDPOINTS = 1_000;
/** The number of allows per endpoint; no two endpoints have the same ones. */
const ALLOWS = 10;
const ADD_BUDGET = 1.5;
const PACKETS_BUDGET = 0.95;
const ROUNDS = 5;
const SECONDS = 1;

export const policies: Experiment = {
  name: 'policy',
  about: 'ADD and packets beside 1,000 endpoints with 10,000 allows',
  run,
};

function run(bench: Bench): Report {
  const add = addTimes(bench);
  const packets = packetRates(bench);
  const [addRatio, packetsRatio] = [
    round(add.many.median / add.one.median),
    round(packets.many.median / packets.one.median),
  ];
  return {
    heads: ['policy', 'the only one', `beside ${ENDPOINTS} endpoints, ${ENDPOINTS * ALLOWS} allows`, 'ratio', 'budget'],
    rows: [
      [
        'ADD ms',
        add.one.median.toFixed(2),
        add.many.median.toFixed(2),
        addRatio.toFixed(2),
        `≤ ${budgetCell(ADD_BUDGET)}`,
      ],
      [
        'packets a second',
        packets.one.median.toFixed(0),
        packets.many.median.toFixed(0),
        packetsRatio.toFixed(2),
        `≥ ${budgetCell(PACKETS_BUDGET)}`,
      ],
    ],
    figures: { add: { ...add, ratio: addRatio }, packets: { ...packets, ratio: packetsRatio } },
  };
}

/** Each ADD is one batch. Its DEL is not timed. */
function addTimes({ launcher, netloom, n, root }: Bench) {
  const sandbox = new Sandbox(root, 'policy-add');
  const call = (command: string, i: number) =>
    launcher.execute(
      join(netloom.plugins, 'policy'),
      callEnvironment(netloom, root, command, { name: `c${i}`, path: sandbox.path }),
      JSON.stringify({
        cniVersion: '1.0.0',
        name: 'policy',
        type: 'policy',
        policy: { ingress: { allow: Array.from({ length: ALLOWS }, (_, k) => `10.9.${k}.0/24`) } },
        prevResult: { cniVersion: '1.0.0', interfaces: [{ name: 'lo' }], ips: [{ address: '10.64.255.2/16' }] },
      }),
    ).time;
  const times = () =>
    summarize(
      Array.from({ length: n }, (_, i) => {
        const time = call('ADD', i);
        call('DEL', i);
        return time;
      }),
    );
  call('ADD', 0);
  call('DEL', 0);
  const one = times();
  const remove = fill();
  const many = times();
  remove();
  sandbox[Symbol.dispose]();
  return { one, many };
}

/** Both in turn, so that disturbances on the machine affect both. */
function packetRates({ launcher, root }: Bench) {
  const blast = compile('blast', join(root, 'programs'));
  void launcher;
  const [from, to] = [new Sandbox(root, 'policy-from'), new Sandbox(root, 'policy-to')];
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
  ip('link', 'add', 'policy0', 'type', 'bridge');
  ip('link', 'set', 'policy0', 'up');
  for (const [i, sandbox] of [from, to].entries()) {
    ip('link', 'add', `policy-v${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', sandbox.path);
    ip('link', 'set', `policy-v${i}`, 'master', 'policy0', 'up');
    sandbox.run('ip', 'addr', 'add', `10.64.255.${i + 2}/16`, 'dev', 'eth0');
    sandbox.run('ip', 'link', 'set', 'eth0', 'up');
  }
  from.reaches('10.64.255.3');
  const pair = [2, 3].map((last) => entry(`10.64.255.${last}`, ENDPOINTS + last));
  using nft = openNft();
  policy.apply(nft, pair);
  const rate = () => Number(from.run(blast, '10.64.255.3', String(SECONDS)));
  const rates = { one: [] as number[], many: [] as number[] };
  rate();
  for (let i = 0; i < ROUNDS; i++) {
    rates.one.push(rate());
    const remove = fill();
    rates.many.push(rate());
    remove();
  }
  for (const each of pair) policy.remove(nft, each);
  policy.sweep(nft);
  ip('link', 'del', 'policy0');
  for (const sandbox of [from, to]) sandbox[Symbol.dispose]();
  return { one: summarize(rates.one), many: summarize(rates.many) };
}

/** @returns what removes them again */
function fill(): () => void {
  using nft = openNft();
  const entries = Array.from({ length: ENDPOINTS }, (_, i) => entry(`10.64.${i >> 8}.${i & 255}`, i));
  for (const each of entries) policy.apply(nft, [each]);
  return () => {
    using again = openNft();
    for (const each of entries) policy.remove(again, each);
    policy.sweep(again);
  };
}

/** An endpoint with one allow for the pair that talks, and the others of its own. */
function entry(ip: string, i: number): policy.Policed {
  const talking: Box = { peer: [0x0a40_ff00n, 0x0a40_ffffn], protocol: [0, 255], port: [0, 65_535] };
  const own = Array.from({ length: ALLOWS - 1 }, (_, k): Box => {
    const first = 0x0b00_0000n + BigInt(i * ALLOWS + k) * 256n;
    return { peer: [first, first + 255n], protocol: [6, 6], port: [80, 443] };
  });
  const boxes = [talking, ...own];
  return { ip: Ip.parse(ip), comment: `policy/c${i}/eth0`, egress: boxes, ingress: boxes };
}
