/**
 * The error for an unknown endpoint. It lists the known ones, because a name is easily misspelt, and a container may be
 * on another network.
 */
import { NetloomError } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { pathsOf } from '../../paths.ts';
import { readNetworks } from '../../runtime/conf-directory.ts';
import { networkOf, wiredOwners } from './wires.ts';

/** How many names the error lists at most. */
const MOST = 20;

/** @param owner `network/container/ifname` */
export function unknownEndpoint(nl: NetlinkSocket, owner: string): NetloomError {
  const network = networkOf(owner);
  const wired = wiredOwners(nl);
  const here = wired.filter((each) => networkOf(each) === network);
  const cannot = `Cannot find "${owner}"`;
  if (here.length > 0) {
    return new NetloomError('unknown-container', `${cannot}: no container of "${network}" has such an interface here`, {
      hint: `there are: ${named(here)}`,
    });
  }
  // Runtimes may keep their conflists elsewhere, so a network that has a wire counts too.
  const networks = readNetworks(pathsOf(process.env).conf).networks.map(({ list }) => list.name);
  const all = [...new Set([...networks, ...wired.map(networkOf)])];
  if (!all.includes(network)) {
    return new NetloomError('unknown-container', `${cannot}: there is no network "${network}"`, {
      hint: all.length === 0 ? 'there are no networks' : `there are: ${named(all)}`,
    });
  }
  return new NetloomError('unknown-container', `${cannot}: "${network}" has no wire of bridge or ptp on this host`, {
    hint: wired.length === 0 ? 'no other network has one either' : `there are: ${named(wired)}`,
  });
}

/** In the notation of `policy rm`. */
function named(names: readonly string[]): string {
  const shown = names.map((name) => name.replace(/\/eth0$/, '')).sort();
  return `${shown.slice(0, MOST).join(', ')}${shown.length > MOST ? ', …' : ''}`;
}
