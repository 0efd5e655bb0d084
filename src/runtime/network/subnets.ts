/** The subnets in use, and how to choose a free one. */
import { NetloomError } from '../../error.ts';
import { randomBytes } from '../../ffi/random.ts';
import { Cidr } from '../../net/cidr.ts';
import { type Family, Ip } from '../../net/ip.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import * as route from '../../rtnl/route.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { Network } from '../conf-directory.ts';

/** A prefix in use, and by whom. */
export interface Used {
  readonly prefix: Cidr;
  readonly by: string;
}

/**
 * Where subnets are chosen from: a part of 10/8 that neither docker (172.16/12, 192.168/16), podman (10.88, 10.89) nor
 * cni-conf/ (10.86) begins with.
 */
const POOL = { from: Cidr.parse('10.90.0.0/24'), count: 6 * 256 };

/**
 * What is in use on this host: its routes, its addresses, and the subnets of its networks.
 * @param except a link whose routes and addresses do not count: a network on that link shares its subnet
 */
export function usedSubnets(networks: readonly Network[], except: string | undefined): Used[] {
  using nl = openRoute();
  const links = new Map(link.list(nl).map(({ index, name }) => [index, name]));
  const nameOf = (index: number | undefined) => (index === undefined ? undefined : links.get(index));
  const isForeign = (index: number | undefined) => except === undefined || nameOf(index) !== except;
  const routes = route
    .list(nl)
    .filter(({ dst, oif }) => dst.prefix > 0 && !isLinkLocal(dst.ip) && isForeign(oif))
    .map(({ dst, oif }) => ({ prefix: dst, by: `a route by "${nameOf(oif) ?? '?'}"` }));
  const addresses = addr
    .list(nl)
    .filter(({ address, link: index }) => !isLinkLocal(address.ip) && isForeign(index))
    .map(({ address, link: index }) => ({ prefix: address.network(), by: `an address of "${nameOf(index) ?? '?'}"` }));
  return [...networks.flatMap(subnetsInUse), ...routes, ...addresses];
}

/** The subnets that a network's configuration names, anywhere in it. */
export function subnetsOf({ list }: Network): Cidr[] {
  const found: Cidr[] = [];
  const visit = (value: unknown, key: string) => {
    if (typeof value === 'object' && value !== null)
      for (const [name, each] of Object.entries(value)) visit(each, name);
    const subnet = typeof value === 'string' && key.toLowerCase() === 'subnet' ? Cidr.tryParse(value) : undefined;
    if (subnet !== undefined) found.push(subnet);
  };
  for (const { conf } of list.plugins) {
    visit(conf['ipam'], '');
    // An overlay has its subnet only here: the prefixes of its hosts are parts of it.
    visit(conf['subnet'], 'subnet');
  }
  return found;
}

/** @throws NetloomError subnet-in-use */
export function refuseUsed(subnet: Cidr, used: readonly Used[]): void {
  const clash = used.find(({ prefix }) => prefix.overlaps(subnet));
  if (clash === undefined) return;
  const other = clash.prefix.equals(subnet) ? 'it is the subnet of' : `it overlaps with ${clash.prefix},`;
  throw new NetloomError('subnet-in-use', `Cannot use the subnet ${subnet}: ${other} ${clash.by}`, {
    hint: 'choose another one, or leave --subnet out to get a free one',
  });
}

/** A subnet that is free on this host. @param prefix length for IPv4, 16 to 24 @throws NetloomError no-subnet */
export function freeSubnet(family: Family, used: readonly Used[], prefix: number): Cidr {
  const isFree = (subnet: Cidr) => !used.some(({ prefix }) => prefix.overlaps(subnet));
  for (let i = 0; i < POOL.count >> (POOL.from.prefix - prefix); i++) {
    const subnet = family === 4 ? nth(i, prefix) : randomUla();
    if (isFree(subnet)) return subnet;
  }
  throw new NetloomError('no-subnet', `There is no free subnet of IPv${family} to choose from`, {
    hint: 'choose one with --subnet',
  });
}

function nth(i: number, prefix: number): Cidr {
  return new Cidr(POOL.from.ip.plus(BigInt(i) << BigInt(32 - prefix)), prefix);
}

/** RFC 4193: 40 random bits, so that networks of two hosts do not clash if they are joined one day. */
function randomUla(): Cidr {
  const bytes = new Uint8Array(16);
  bytes[0] = 0xfd;
  bytes.set(randomBytes(5), 1);
  return new Cidr(Ip.of(bytes), 64);
}

function subnetsInUse(network: Network): Used[] {
  return subnetsOf(network).map((subnet) => ({ prefix: subnet.network(), by: `the network "${network.list.name}"` }));
}

/** Link-local and multicast prefixes are on every link. */
function isLinkLocal(ip: Ip): boolean {
  const [first = 0, second = 0] = ip.bytes;
  return (
    ip.isMulticast() || (ip.family === 4 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80)
  );
}
