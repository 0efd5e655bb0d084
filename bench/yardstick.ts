/**
 * What both sides are compared with besides each other: netavark, which podman uses instead of plugins, and the floor.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Sandbox } from '../test/support/host.ts';
import type { Bench } from './experiment.ts';
import { compile } from './launcher.ts';
import { IPV4, type Scenario } from './scenario.ts';
import { type Summary, summarize } from './statistics.ts';

export const YARDSTICKS = ['netavark', 'floor'] as const;
type YardstickName = (typeof YARDSTICKS)[number];
type Command = 'ADD' | 'DEL';

/** In ms. A yardstick is missing if it has no equivalent of the scenario, or is not installed. */
export type Yardsticks = Readonly<Partial<Record<YardstickName, Readonly<Record<Command, Summary>>>>>;

/** Attaches a container, and detaches it. @returns the time of the process, in ms */
interface Yardstick {
  call(command: Command, sandbox: Sandbox): number;
  close?(): void;
}

/** Debian package netavark. */
const NETAVARK = '/usr/lib/podman/netavark';
/** netavark has a bridge of its own: it counts the containers on it. */
const NETAVARK_BRIDGE = 'bench-netavark';

/**
 * Measures the yardsticks after the two sides. The bridge of those must still exist.
 * @param sandboxes gets the namespaces that were made
 */
export function measureYardsticks(bench: Bench, scenario: Scenario, sandboxes: Sandbox[]): Yardsticks {
  if (scenario.leases > 0 || scenario.subnets.join() !== IPV4) return {};
  const name: YardstickName = scenario.plugin['ipMasq'] === true ? 'netavark' : 'floor';
  const make = { netavark, floor }[name];
  const sandboxOf = (what: string | number) => {
    const sandbox = new Sandbox(bench.root, `${scenario.name}-${name}-${what}`);
    sandboxes.push(sandbox);
    return sandbox;
  };
  const yardstick = make(bench, scenario, sandboxOf);
  if (yardstick === undefined) return {};
  const times: Record<Command, number[]> = { ADD: [], DEL: [] };
  for (let round = -2; round < bench.n; round++) {
    const sandbox = sandboxOf(round + 2);
    for (const command of ['ADD', 'DEL'] as const) {
      const time = yardstick.call(command, sandbox);
      if (round >= 0) times[command].push(time);
    }
  }
  yardstick.close?.();
  return { [name]: { ADD: summarize(times.ADD), DEL: summarize(times.DEL) } };
}

/** The floor: the messages to the kernel that a plain ADD cannot do without. */
function floor({ launcher, root }: Bench): Yardstick {
  const program = compile('floor', join(root, 'programs'));
  return {
    call(command, { path }) {
      const args =
        command === 'ADD' ? ['add', path, 'bench0', 'floor0', '10.64.255.254', '10.64.0.1'] : ['del', 'floor0'];
      return launcher.execute(program, {}, '', args).time;
    },
  };
}

/**
 * netavark as podman executes it: one process for the network, its ports and its firewall. podman chooses the address.
 * It always masquerades.
 * NB: one container stays, because netavark removes its bridge with the last one. The plugins keep theirs.
 */
function netavark(
  { launcher }: Bench,
  { behind = [] }: Scenario,
  sandboxOf: (what: string) => Sandbox,
): Yardstick | undefined {
  if (!existsSync(NETAVARK)) return undefined;
  const hasPort = behind.some(({ type }) => type === 'portmap');
  const run = (verb: 'setup' | 'teardown', { name, path }: Sandbox, number: number) => {
    const options = JSON.stringify(optionsOf(name, `10.64.254.${number}`, hasPort ? 8080 + number : undefined));
    return launcher.execute(NETAVARK, { PATH: process.env['PATH'] }, options, [verb, path]).time;
  };
  const stays = sandboxOf('stays');
  run('setup', stays, 2);
  return {
    call: (command, sandbox) => run(command === 'ADD' ? 'setup' : 'teardown', sandbox, 3),
    close() {
      run('teardown', stays, 2);
      spawnSync('nft', ['flush', 'ruleset']);
    },
  };
}

/** What podman writes to netavark's stdin. */
function optionsOf(container: string, address: string, port: number | undefined): object {
  const ports = [{ container_port: 80, host_ip: '', host_port: port, protocol: 'tcp', range: 1 }];
  return {
    container_id: container,
    container_name: container,
    ...(port !== undefined && { port_mappings: ports }),
    networks: { bench: { static_ips: [address], interface_name: 'eth0' } },
    network_info: {
      bench: {
        name: 'bench',
        id: '53ce4390f2adb1681eb1a90ec8b48c49c015e0a8d336c197637e7f65e365fa9e',
        driver: 'bridge',
        network_interface: NETAVARK_BRIDGE,
        subnets: [{ subnet: IPV4, gateway: '10.64.0.1' }],
        ipv6_enabled: false,
        internal: false,
        dns_enabled: false,
        ipam_options: { driver: 'host-local' },
      },
    },
  };
}
