/**
 * `route_localnet` of the interface that leads to the container: without it the kernel neither sends a packet with a
 * source of 127.0.0.0/8 out of it nor takes the answer. On for as long as a port that localhost reaches is published
 * there, then as it was. The old value stands in the comment of the subnet's chain, which is there for exactly as long.
 *
 * IPv6 has no such setting: a packet with the source ::1 gets out and is masqueraded, but its answer finds no route
 * back (rt6_need_strict() takes a loopback address to be of the very interface by which the packet comes).
 */
import { lock, makeDirectories, O, open } from '../../ffi/file.ts';
import { ifnameFault } from '../../net/ifname.ts';
import type { Ip } from '../../net/ip.ts';
import { ensureSysctl, readSysctl, writeSysctl } from '../../net/sysctl.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { rememberedIn } from '../../nft/portmap/masquerading.ts';
import type { Paths } from '../../paths.ts';
import * as link from '../../rtnl/link.ts';
import * as route from '../../rtnl/route.ts';

const REMEMBERED = 'route_localnet was 0 on ';

/**
 * Holds off other calls, from reading the setting or changing who needs it until both agree again. Whoever dies lets
 * go.
 * NB: an element alone needs no lock; a setting that is shared does, since the kernel cannot change both at once.
 */
export function lockLocalnet(paths: Paths): Disposable {
  const directory = `${paths.run}/portmap`;
  makeDirectories(directory);
  const path = `${directory}/lock`;
  const file = open(path, O.RDWR | O.CREAT);
  try {
    lock(file.number, path);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * The interface by which the host reaches a container; undefined where it does not, or where the way leads through a
 * router.
 */
export function linkTo(nl: NetlinkSocket, container: Ip): link.Link | undefined {
  const way = route.lookup(nl, container);
  if (way?.oif === undefined || way.gateway !== undefined) return undefined;
  return link.find(nl, { index: way.oif });
}

/**
 * What is to be remembered before the setting is switched on. A veth of the container's own goes with it, and takes the
 * setting along.
 */
export function toRemember({ name, kind }: link.Link): string {
  return kind !== 'veth' && readSysctl(keyOf(name)) === '0' ? `${REMEMBERED}${name}` : '';
}

export function switchOn({ name }: link.Link): void {
  ensureSysctl(keyOf(name), '1');
}

/** Switches it off again where a chain's comment says that it was. */
export function restore(comment: string): void {
  write(comment, '0');
}

/** Takes restore() back: somebody needs it again. */
export function unrestore(comment: string): void {
  write(comment, '1');
}

export function isOn({ name }: link.Link): boolean {
  return readSysctl(keyOf(name)) === '1';
}

function write(comment: string, value: string): void {
  const remembered = rememberedIn(comment);
  if (!remembered.startsWith(REMEMBERED)) return;
  const name = remembered.slice(REMEMBERED.length);
  // NB: the comment is the kernel's to keep and anybody's to write.
  if (ifnameFault(name) !== undefined) return;
  const key = keyOf(name);
  if (readSysctl(key) !== undefined) writeSysctl(key, value); // the interface may be gone, and with it the setting
}

function keyOf(name: string): string {
  return `net/ipv4/conf/${name}/route_localnet`;
}
