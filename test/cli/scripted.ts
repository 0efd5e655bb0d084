/**
 * Runs the script of a sandbox's wiring in a namespace that plays a host, and compares the result with what the plugins
 * made. For test files that have become a host.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { difference, differenceWords } from '../../src/inspect/difference.ts';
import type { Snapshot } from '../../src/inspect/snapshot.ts';
import { NETLOOM, Netloom } from '../support/command.ts';
import { mounts, type Sandbox } from '../support/host.ts';
import { inOrder } from '../support/in-order.ts';
import { type Json, Lab } from '../support/lab.ts';

/** The link that networks hang on, the same in every namespace that plays a host. */
export const PARENT =
  'sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0; ip link add up0 address 02:00:00:00:00:10 type veth peer name up1 address 02:00:00:00:00:11; ip link set up0 up; ip link set up1 up; ip addr add 192.168.62.2/24 dev up0';

/** Queueing disciplines with their classes and filters, without counters. */
const SHAPING =
  "for dev in $(ip -br link | sed 's/[@ ].*//'); do tc qdisc show dev $dev; tc class show dev $dev; tc filter show dev $dev; tc filter show dev $dev parent ffff:; done | grep -v noqueue | sed -E 's/refcnt [0-9]+ |direct_packets_stat [0-9]+ //g'";

export interface Scripted {
  readonly script: string;
  readonly rules: string;
  readonly shaping: string;
}

/** A lab with commands, and sandboxes that are removed when the test ends. */
export function startLab(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  const sandbox = (name: string, ...args: string[]) => {
    netloom.run('sandbox', 'create', '--name', name, ...args);
    t.teardown(() => netloom.try('sandbox', 'rm', '--force', name));
  };
  return { lab, netloom, sandbox };
}

export function writeConflist({ root }: Lab, name: string, plugins: readonly Json[]): void {
  const directory = join(root, 'etc/cni/net.d');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.conflist`), JSON.stringify({ cniVersion: '1.0.0', name, plugins }));
}

/**
 * Makes a sandbox on a network, runs its script in a fresh namespace, and expects the same snapshot, rules and shaping
 * there.
 * @param create options of `network create`, or the plugins of a conflist
 * @param run options of `sandbox create`
 * @param before shell commands for both hosts: the one with the sandbox, and the one on which the script runs
 */
export async function makesTheSame(
  t: ExecutionContext,
  create: readonly string[] | readonly Json[],
  run: readonly string[],
  before = 'true',
): Promise<Scripted> {
  const { lab, netloom, sandbox } = startLab(t);
  execFileSync('sh', ['-ec', `${PARENT}; ${before}`]);
  if (isWords(create)) netloom.run('network', 'create', ...create, 'demo');
  else writeConflist(lab, 'demo', create);
  sandbox('web', '--network', 'demo', ...run);
  const state = () => [lab.snapshot(), mounts()];
  const found = state();
  const script = netloom.run('explain', '--script', 'web');
  t.deepEqual(state(), found, 'explaining does nothing');
  t.deepEqual(
    readdirSync(join(lab.root, 'run/netloom')).filter((name) => name.startsWith('rehearsal')),
    [],
  );
  const made = snapshotIn(netloom);
  const rules = execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
  const shaping = execFileSync('sh', ['-c', SHAPING], { encoding: 'utf8' });
  netloom.run('sandbox', 'rm', 'web');
  const host = lab.sandbox('host-of-script');
  const web = lab.sandbox('web');
  host.run('sh', '-ec', `ip link set lo up; ${PARENT}; ${before}`);
  web.run('ip', 'link', 'set', 'lo', 'up');
  execFileSync('nsenter', [`--net=${host.path}`, 'bash'], {
    input: script,
    env: { ...process.env, CONTAINER: web.path },
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  t.deepEqual(inOrder(inNft(host.run('nft', 'list', 'ruleset'))), inOrder(inNft(rules)));
  t.is(host.run('sh', '-c', SHAPING), shaping);
  await isSeenFrom(t, netloom, host, made);
  return { script, rules, shaping };
}

/**
 * Waits until the wiring of the sandbox, seen from a host, is as it was made: carriers come up after a while.
 * @param but a property that may differ
 */
export async function isSeenFrom(
  t: ExecutionContext,
  netloom: Netloom,
  host: Sandbox,
  made: Snapshot,
  but?: string,
): Promise<void> {
  let differences = ['not looked'];
  for (let i = 0; i < 200 && differences.length > 0; i++) {
    const all = difference(made, snapshotIn(netloom, host));
    differences = all.filter(({ property }) => property === undefined || property !== but).map(differenceWords);
    if (differences.length > 0) await pause(50);
  }
  t.deepEqual(differences, []);
}

/**
 * A snapshot of the sandbox's wiring, seen from a host, without link-local addresses, which the kernel adds some time
 * later.
 */
export function snapshotIn(netloom: Netloom, host?: Sandbox): Snapshot {
  const enter = host === undefined ? [] : ['nsenter', `--net=${host.path}`];
  const [file = '', ...args] = [...enter, NETLOOM, 'inspect', '--json', 'web'];
  const snapshot = JSON.parse(execFileSync(file, args, { env: netloom.environment, encoding: 'utf8' })) as Snapshot;
  for (const { links } of snapshot.namespaces) {
    for (const link of links) link.addresses = link.addresses.filter(({ scope }) => scope !== 'link');
  }
  return snapshot;
}

/**
 * Rewrites iptables' words in those of nft: the comments of iptables are blanks or nft comments there, and its mark
 * match is another expression.
 */
function inNft(rules: string): string {
  const uncommented = rules.replace(/(counter packets \d+ bytes \d+ \S.*) comment ".*"$/gm, '$1');
  return uncommented.replace(/^(\t+) +/gm, '$1').replace(/mark and (\w+) == \1 +/g, (_, mark: string) => {
    const word = `0x${Number(mark).toString(16).padStart(8, '0')}`;
    return `meta mark & ${word} == ${word} `;
  });
}

function isWords(create: readonly string[] | readonly Json[]): create is readonly string[] {
  return create.every((each) => typeof each === 'string');
}
