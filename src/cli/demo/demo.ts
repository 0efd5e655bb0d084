/** `netloom demo`: the main job in ten seconds, on any machine, without a trace. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCommand, type CommandContext } from '@stricli/core';
import { NetloomError } from '../../error.ts';
import { run } from '../../ffi/spawn.ts';
import { Ip } from '../../net/ip.ts';
import { type Netns, openNetns } from '../../netns/namespace.ts';
import { pinNew, unpin } from '../../netns/pin.ts';
import { withNetns } from '../../netns/within.ts';
import { plugins } from '../../plugins/registry.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { ping } from './ping.ts';
import { wiringOf } from './wiring.ts';

const CONF = {
  cniVersion: '1.1.0',
  name: 'demo',
  type: 'bridge',
  bridge: 'netloom0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] },
};

const SANDBOXES = ['blue', 'green'];

export const demoCommand = buildCommand({
  docs: {
    brief: 'Wire two sandboxes, show the wiring, remove it',
    fullDescription:
      'Makes a network namespace that plays the host and two that play containers, adds both to a bridge as a container runtime would, lets them reach each other, shows the wiring and removes everything. The machine itself is not touched.\n\nExample: netloom demo',
  },
  parameters: {},
  func(this: CommandContext) {
    demo((line) => this.process.stdout.write(`${line}\n`));
  },
});

function demo(print: (line: string) => void): void {
  using cleanup = new DisposableStack();
  const root = mkdtempSync(join(tmpdir(), 'netloom-demo-'));
  cleanup.defer(() => rmSync(root, { recursive: true, force: true }));
  const bin = makeBin(root);
  const host = makeNetns(join(root, 'host'), cleanup);
  const places = SANDBOXES.map((name) => ({ name, netns: makeNetns(join(root, name), cleanup) }));
  print('A network namespace plays the host, two play containers; this machine stays as it is.\n');

  const addresses = places.map(({ name, netns }) => {
    const started = performance.now();
    const result = call('ADD', root, bin, host, name, netns) as { ips: [{ address: string; gateway: string }] };
    const took = (performance.now() - started).toFixed(1);
    const [{ address, gateway }] = result.ips;
    print(`ADD ${name.padEnd(6)} eth0 ${address}, gateway ${gateway} (${took} ms)`);
    return { ip: Ip.parse(address.slice(0, address.indexOf('/'))), gateway: Ip.parse(gateway) };
  });

  print(`\n${wiringOf(host, CONF.bridge, places)}\n`);

  for (const [i, { name, netns }] of places.entries()) {
    const [own, other] = [addresses[i], addresses[1 - i]];
    if (own === undefined || other === undefined) continue;
    print(reach(name, netns, SANDBOXES[1 - i] ?? '', other.ip));
    print(reach(name, netns, 'the host', own.gateway));
  }

  print('');
  for (const { name, netns } of places) {
    call('DEL', root, bin, host, name, netns);
    print(`DEL ${name}`);
  }
  print(`\nLeft on the host: ${leftovers(host).join(', ')}. All of it goes with the namespaces now.`);
}

/** A directory with every plugin type under its name, as /opt/cni/bin is. */
function makeBin(root: string): string {
  const bin = join(root, 'bin');
  mkdirSync(bin);
  for (const type of plugins.keys()) symlinkSync(process.execPath, join(bin, type));
  return bin;
}

function makeNetns(path: string, cleanup: DisposableStack): Netns {
  pinNew(path);
  cleanup.defer(() => unpin(path));
  const netns = cleanup.use(openNetns(path));
  withNetns(netns, () => {
    using nl = openRoute();
    nl.execute(link.set({ name: 'lo' }, {}, { up: true }));
  });
  return netns;
}

/** Executes the plugin as a container runtime does, with the host's namespace as its own. */
function call(command: 'ADD' | 'DEL', root: string, bin: string, host: Netns, name: string, netns: Netns): unknown {
  const environment = {
    PATH: process.env['PATH'] ?? '',
    CNI_COMMAND: command,
    CNI_CONTAINERID: name,
    CNI_NETNS: netns.path,
    CNI_IFNAME: 'eth0',
    CNI_PATH: bin,
    NETLOOM_ROOT: root,
  };
  const stdin = new TextEncoder().encode(JSON.stringify(CONF));
  const plugin = join(bin, CONF.type);
  const { status, stdout, stderr } = withNetns(host, () => run(plugin, [plugin], environment, stdin));
  const text = new TextDecoder().decode(stdout);
  if (status !== 0)
    throw new NetloomError(
      'plugin-failed',
      `${command} of "${name}" failed: ${text}${new TextDecoder().decode(stderr)}`,
    );
  return text === '' ? undefined : JSON.parse(text);
}

function reach(name: string, netns: Netns, otherName: string, address: Ip): string {
  const took = withNetns(netns, () => ping(address));
  if (took === undefined) throw new NetloomError('timed-out', `"${name}" does not reach ${otherName} at ${address}`);
  return `${name.padEnd(6)} → ${otherName.padEnd(8)} ${address}  ${took.toFixed(2)} ms`;
}

function leftovers(host: Netns): string[] {
  using nl = withNetns(host, () => openRoute());
  return link.list(nl).map(({ name }) => name);
}
