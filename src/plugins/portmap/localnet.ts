/**
 * `route_localnet` of the interface that leads to the container. Without it the kernel neither sends a packet with a
 * source in 127.0.0.0/8 out of that interface nor accepts the reply. It is on while a port that localhost reaches is
 * published there, and is restored afterwards. The old value is in the comment of the subnet's chain, which exists for
 * exactly as long.
 *
 * IPv6 has no such setting. A packet with the source ::1 gets out and is masqueraded, but its reply finds no route
 * back: rt6_need_strict() expects a loopback address on the very interface by which the packet comes in.
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
 * Keeps other calls out while this one changes the setting, or the chains that need it, until the two agree again. A
 * process that dies releases the lock.
 * NB: an element alone needs no lock. The shared setting does, since the kernel cannot change both at once.
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
 * The interface by which the host reaches a container; undefined if it does not reach it, or only through a router.
 */
export function linkTo(nl: NetlinkSocket, container: Ip): link.Link | undefined {
  const way = route.lookup(nl, container);
  if (way?.oif === undefined || way.gateway !== undefined) return undefined;
  return link.find(nl, { index: way.oif });
}

/**
 * The text to remember before the setting is switched on. A veth of the container's own needs none: the setting is gone
 * with the link.
 */
export function toRemember({ name, kind }: link.Link): string {
  return kind !== 'veth' && readSysctl(keyOf(name)) === '0' ? `${REMEMBERED}${name}` : '';
}

export function switchOn({ name }: link.Link): void {
  ensureSysctl(keyOf(name), '1');
}

/** Switches the setting off again, if a chain's comment says that it was off. */
export function restore(comment: string): void {
  write(comment, '0');
}

/** Undoes restore(): somebody needs the setting again. */
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
  // NB: the kernel keeps the comment, but others may have written it.
  if (ifnameFault(name) !== undefined) return;
  const key = keyOf(name);
  if (readSysctl(key) !== undefined) writeSysctl(key, value); // the setting is gone with the interface
}

function keyOf(name: string): string {
  return `net/ipv4/conf/${name}/route_localnet`;
}
