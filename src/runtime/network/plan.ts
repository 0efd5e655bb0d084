/** Turns docker's options into a conflist. Everything is checked here; nothing is changed. */
import { isName } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import { fnv1a } from '../../fnv.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import type { Network } from '../conf-directory.ts';
import type { Json } from '../conflist.ts';
import { isOwn } from '../invoke.ts';
import { DRIVERS, type Driver, type DriverName } from './driver.ts';
import { isParentLater, keysOf } from './options.ts';
import { requireParent } from './parent.ts';
import { freeSubnet, refuseUsed, type Used, usedSubnets } from './subnets.ts';

/** What a person requests. */
export interface NetworkOptions {
  readonly driver: DriverName;
  readonly subnets: readonly Cidr[];
  readonly ipRanges: readonly Cidr[];
  readonly gateways: readonly Ip[];
  /** An IPv6 subnet too, chosen where none is given. */
  readonly ipv6: boolean;
  /** No way out, not even to the host. */
  readonly internal: boolean;
  /** `NAME=VALUE` */
  readonly options: readonly string[];
}

/** The prefix length of a chosen IPv4 subnet, and of one that hosts get prefixes of. */
const PREFIX = 24;
const HOSTS_PREFIX = 16;

/**
 * The longest name of a network. Each attachment has a file `NETWORK-CONTAINER-IFNAME`, with an id of 64 characters and
 * an interface name of 15; it is written to a temporary file with a longer name first.
 */
const NAME_MAX = 160;

/** Names with a special meaning in `--network`. */
const RESERVED = ['host', 'none', 'container'];

const PORTMAP: Json = { type: 'portmap', capabilities: { portMappings: true } };
/** NB: for internal networks, too. On a host with docker every bridge is filtered, with a policy of drop. */
const FIREWALL: Json = { type: 'firewall' };

/**
 * The conflist of a new network.
 * @throws NetloomError invalid-name, network-exists, unsupported-driver, invalid-option, invalid-address, subnet-in-use
 */
export function planNetwork(name: string, asked: NetworkOptions, existing: readonly Network[]): Json {
  checkName(name, existing);
  const driver = driverOf(asked.driver);
  const keys = keysOf(asked.driver, driver, asked.options);
  const bridge = driver.type === 'bridge' ? { bridge: bridgeName(name), ...keys } : keys;
  refuseBridgeOfOther(bridge, existing);
  const parent = typeof keys['master'] === 'string' ? keys['master'] : undefined;
  if (parent !== undefined && driver.parent !== undefined && !isParentLater(asked.options))
    requireParent(parent, driver.parent);
  if (driver.hasStore === true) refuseRanges(asked);
  const subnets = subnetsFor(asked, usedSubnets(existing, parent), driver.hasStore === true ? HOSTS_PREFIX : PREFIX);
  const isOpen = !asked.internal;
  const about = { cniVersion: '1.0.0', name };
  const main = {
    type: driver.type,
    ...(driver.isRouted && { ...(driver.type === 'bridge' && { isGateway: isOpen }), ipMasq: isOpen }),
    // So that a container reaches its own published port.
    ...(driver.type === 'bridge' && isOpen && { hairpinMode: true }),
    ...bridge,
    capabilities: Object.fromEntries(driver.capabilities.map((capability) => [capability, true])),
    ...(driver.hasStore === true ? { subnet: `${subnets[0]}`, internal: !isOpen } : ipamOf(subnets, asked)),
  };
  driver.check?.({ ...about, ...main });
  return {
    ...about,
    cniVersions: ['1.0.0', '1.1.0'],
    plugins: [
      main,
      ...(driver.isRouted ? [...(isOpen ? [PORTMAP] : []), FIREWALL].filter(({ type }) => isOwn(String(type))) : []),
    ],
  };
}

function checkName(name: string, existing: readonly Network[]): void {
  if (name.length > NAME_MAX) {
    throw new NetloomError(
      'invalid-name',
      `"${name.slice(0, 20)}…" cannot be the name of a network: it has ${name.length} characters, expected at most ${NAME_MAX}`,
    );
  }
  if (!isName(name)) {
    throw new NetloomError(
      'invalid-name',
      `${JSON.stringify(name)} cannot be the name of a network, expected a letter or digit, then letters, digits, "_", "." and "-"`,
    );
  }
  if (RESERVED.includes(name)) {
    throw new NetloomError(
      'invalid-name',
      `"${name}" cannot be the name of a network: "--network ${name}" has a meaning of its own`,
    );
  }
  const other = existing.find(({ list }) => list.name === name);
  if (other !== undefined)
    throw new NetloomError('network-exists', `There is a network "${name}" already, in "${other.file}"`);
}

function driverOf(name: DriverName): Driver {
  const driver = DRIVERS[name];
  if (isOwn(driver.type)) return driver;
  throw new NetloomError(
    'unsupported-driver',
    `Cannot make a network of the driver "${name}": this netloom has no plugin "${driver.type}"`,
    { hint: '"netloom plugins" lists what it has' },
  );
}

/** `br-NAME`, so that `ip link` shows whose it is; with a hash where that is too long for a link. */
export function bridgeName(name: string): string {
  const plain = `br-${name}`;
  return plain.length <= 15 ? plain : `br-${fnv1a(name).slice(0, 12)}`;
}

/** Two networks on the same bridge would be one. */
function refuseBridgeOfOther({ bridge }: { readonly bridge?: unknown }, existing: readonly Network[]): void {
  if (bridge === undefined) return;
  const other = existing.find(({ list }) => list.plugins.some(({ conf }) => conf['bridge'] === bridge));
  if (other === undefined) return;
  throw new NetloomError(
    'invalid-option',
    `Cannot use the bridge "${bridge}": it belongs to the network "${other.list.name}"`,
  );
}

function ipamOf(subnets: readonly Cidr[], asked: NetworkOptions): Json {
  const ranges = rangesOf(subnets, asked).map((range) => [range]);
  const routes = subnets.map(({ family }) => ({ dst: family === 4 ? '0.0.0.0/0' : '::/0' }));
  return { ipam: { type: 'host-local', ranges, ...(!asked.internal && { routes }) } };
}

/** Each host has a prefix of the one subnet, and a gateway in it, so these cannot be chosen for the network. */
function refuseRanges({ driver, subnets, ipRanges, gateways, ipv6 }: NetworkOptions): void {
  const flags = { '--ip-range': ipRanges.length > 0, '--gateway': gateways.length > 0, '--ipv6': ipv6 };
  const [flag] = Object.entries({ ...flags, 'a second --subnet': subnets.length > 1 }).find(([, given]) => given) ?? [];
  if (flag === undefined) return;
  throw new NetloomError(
    'invalid-option',
    `Cannot give ${flag} to a network of the driver "${driver}": each host has a prefix of its one subnet, and a gateway in it`,
  );
}

/** @param prefix length of a chosen IPv4 subnet */
function subnetsFor(
  { subnets, ipv6, gateways, ipRanges }: NetworkOptions,
  used: readonly Used[],
  prefix: number,
): Cidr[] {
  const given = subnets.map((subnet) => subnet.network());
  for (const [i, subnet] of given.entries()) {
    if (subnets[i]?.hasHostBits() === true) {
      throw new NetloomError('invalid-address', `"--subnet ${subnets[i]}" has host bits, expected ${subnet}`);
    }
    if (given.findIndex(({ family }) => family === subnet.family) !== i) {
      throw new NetloomError(
        'invalid-address',
        `"--subnet ${subnet}" is the second of IPv${subnet.family}, expected one a family`,
      );
    }
    refuseUsed(subnet, used);
  }
  const needs = (family: Family) => !given.some((subnet) => subnet.family === family);
  const wantsIpv4 = !given.some((subnet) => subnet.family === 6) || ipv6;
  const chosen = [
    ...(needs(4) && wantsIpv4 ? [freeSubnet(4, used, prefix)] : []),
    ...(needs(6) && ipv6 ? [freeSubnet(6, used, prefix)] : []),
  ];
  const all = [...given, ...chosen].sort((a, b) => a.family - b.family);
  for (const [flag, ip] of [
    ...gateways.map((ip) => ['--gateway', ip] as const),
    ...ipRanges.flatMap((range) => [range.first(), range.last()].map((ip) => ['--ip-range', ip] as const)),
  ]) {
    if (all.some((subnet) => subnet.contains(ip))) continue;
    throw new NetloomError('invalid-address', `"${flag}" has ${ip}, expected an address of ${all.join(' or ')}`);
  }
  return all;
}

function rangesOf(subnets: readonly Cidr[], { ipRanges, gateways }: NetworkOptions): Json[] {
  return subnets.map((subnet) => {
    const range = ipRanges.find(({ family }) => family === subnet.family);
    const gateway = gateways.find(({ family }) => family === subnet.family);
    return {
      subnet: `${subnet}`,
      ...(range !== undefined && boundsOf(subnet, range)),
      ...(gateway !== undefined && { gateway: `${gateway}` }),
    };
  });
}

/** The addresses of a range that a container can have: neither the network address nor the broadcast address. */
function boundsOf(subnet: Cidr, range: Cidr): Json {
  const start = range.first().equals(subnet.first()) ? range.first().plus(1n) : range.first();
  const isLast = subnet.family === 4 && range.last().equals(subnet.last());
  return { rangeStart: `${start}`, rangeEnd: `${isLast ? range.last().plus(-1n) : range.last()}` };
}
