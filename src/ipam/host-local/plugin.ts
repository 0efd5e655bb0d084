/**
 * The IPAM plugin host-local: addresses from ranges, remembered in files of this host.
 * https://www.cni.dev/plugins/current/ipam/host-local/
 */
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { writeFault } from '../../ffi/access.ts';
import { readText, tryStat } from '../../ffi/file.ts';
import { Cidr } from '../../net/cidr.ts';
import { boundsOf, rangeOf } from '../range.ts';
import { askedOf, type HostLocalConf, hostLocalSchema, setsOf } from './config.ts';
import type { Owner } from './lease.ts';
import { directoryOf, type LeasePlace } from './lease-directory.ts';
import { parseResolvConf } from './resolv-conf.ts';
import { find, gc, release, reserve, statistics } from './store.ts';

type Call = CniCall<HostLocalConf>;

export const hostLocal: Plugin<HostLocalConf> = {
  type: 'host-local',
  about: 'gives addresses from ranges, and keeps the leases in files of this host',
  schema: hostLocalSchema,
  netns: 'any', // it never enters the namespace
  add,
  del(call) {
    release(placeOf(call), ownerOf(call));
  },
  check,
  gc(call) {
    const valid = (call.conf.validAttachments ?? []).map(({ containerID, ifname }) => ({
      containerId: containerID,
      ifname,
    }));
    gc(placeOf(call), valid);
  },
  status,
};

function add(call: Call): CniResult {
  const { resolvConf, routes } = call.conf.ipam;
  const sets = setsOf(call.conf);
  const asked = askedOf(call);
  const dns = resolvConf === undefined ? undefined : parseResolvConf(readText(resolvConf));
  const given = reserve(placeOf(call), ownerOf(call), sets, asked);
  return {
    ips: given.map(({ ip, range }) => ({ address: new Cidr(ip, range.subnet.prefix), gateway: range.gateway })),
    ...(routes && { routes }),
    ...(dns && { dns }),
  };
}

function check(call: Call): void {
  const sets = setsOf(call.conf);
  const leases = find(placeOf(call), ownerOf(call));
  if (leases.length === 0) {
    throw new NetloomError(
      'check-failed',
      `host-local: Failed to find address added by container ${call.containerId} for ${JSON.stringify(call.ifname)}`,
      { details: `no lease in "${directoryOf(placeOf(call))}" names it` },
    );
  }
  for (const { address } of call.conf.prevResult?.ips ?? []) {
    const isOurs = sets.some((set) => rangeOf(set, address.ip)?.subnet.prefix === address.prefix);
    if (!isOurs || leases.some((lease) => lease.equals(address.ip))) continue;
    throw new NetloomError(
      'check-failed',
      `host-local: Failed to find address ${address.ip} added by container ${call.containerId}, its leases are ${leases.join(', ')}`,
    );
  }
}

/** Whether an ADD could succeed: the directory is writable, and each range set has a free address. */
function status(call: Call): void {
  const sets = setsOf(call.conf);
  const place = placeOf(call);
  const directory = nearest(directoryOf(place));
  const fault = writeFault(directory);
  if (fault !== undefined) throw new NetloomError('not-available', `Cannot keep leases in "${directory}": ${fault}`);
  for (const { set, capacity, taken } of statistics(place, sets)) {
    if (taken < capacity) continue;
    throw new NetloomError(
      'not-available',
      `no IP addresses available in range set: ${boundsOf(set)}, all ${capacity} are taken`,
    );
  }
}

function ownerOf({ containerId, ifname }: Call): Owner {
  return { containerId, ifname };
}

function placeOf(call: Call): LeasePlace {
  return {
    dataDir: call.conf.ipam.dataDir ?? call.paths.leases,
    network: call.conf.name,
    state: call.paths.state,
    warn: (message) => call.warn(message),
  };
}

/** A path, or its nearest parent that exists, where the path would be created. */
function nearest(path: string): string {
  let at = path;
  while (at !== '' && tryStat(at) === undefined) at = at.replace(/\/*[^/]*$/, '');
  return at === '' ? '/' : at;
}
