/**
 * Guarding bridge ports: a guarded port may send frames only from its own MAC.
 *
 *   table bridge netloom
 *   set guarded { type ifname; elements = { "veth3f2a" comment "net/container/eth0" } }
 *   set allowed { type ifname . ether_addr; elements = { "veth3f2a" . 02:42:0a:01:00:02 } }
 *   chain spoof { type filter hook prerouting priority -300; iifname @guarded iifname . ether saddr != @allowed drop }
 *
 * It needs a table of its own, because only the bridge family sees frames that stay within a bridge.
 */
import { hasCode } from '../error.ts';
import type { Mac } from '../net/mac.ts';
import type { Request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { commit } from './batch.ts';
import * as chain from './chain.ts';
import { concat as concatType, etherAddr, ifname } from './datatype.ts';
import * as element from './element.ts';
import { concat } from './field.ts';
import { ether } from './fields/ether.ts';
import { meta } from './fields/meta.ts';
import { inSet, notInSet } from './match.ts';
import { hasLayout, removeIfUnused, withRetries } from './netloom-table.ts';
import * as rule from './rule.ts';
import * as set from './set.ts';
import { verdict } from './statements/verdict.ts';
import * as table from './table.ts';

/** A port that is guarded. */
export interface Guard {
  /** The name of the host's end of the wire. */
  readonly port: string;
  /** The only source that its frames may have. */
  readonly mac: Mac;
  /** The holder: `network/container/ifname`. */
  readonly comment: string;
}

const bridgeTable: table.Table = { family: 'bridge', name: 'netloom', comment: 'made by netloom' };

const base: chain.Chain = {
  table: bridgeTable,
  name: 'spoof',
  base: { type: 'filter', hook: 'prerouting', priority: chain.PRIORITY.raw },
  comment: 'netloom mac spoofing, layout 1',
};

const guarded: set.NftSet<string> = { table: bridgeTable, name: 'guarded', key: ifname, comment: 'ports' };

const allowed: set.NftSet<readonly [string, Mac]> = {
  table: bridgeTable,
  name: 'allowed',
  key: concatType<readonly [string, Mac]>(ifname, etherAddr),
  comment: 'the MAC of each guarded port',
};

/** Guards a port. Changes nothing if it is already guarded with this MAC. */
export function add(nft: NetlinkSocket, { port, mac, comment }: Guard): void {
  withRetries(`guard the port "${port}"`, () => {
    const requests = [
      ...(hasLayout(nft, base) ? [] : baseRequests()),
      element.add(guarded, { key: port, comment }),
      element.add(allowed, { key: [port, mac], comment }),
    ];
    commit(nft, requests);
  });
}

/** Stops guarding an owner's ports, and removes the table with the last guarded port. */
export function remove(nft: NetlinkSocket, isOwner: (comment: string) => boolean): void {
  if (table.get(nft, bridgeTable) === undefined) return;
  const requests: Request[] = [
    ...element
      .list(nft, guarded)
      .filter(({ comment = '' }) => isOwner(comment))
      .map(({ key }) => element.remove(guarded, key)),
    ...element
      .list(nft, allowed)
      .filter(({ comment = '' }) => isOwner(comment))
      .map(({ key }) => element.remove(allowed, key)),
  ];
  for (const request of requests) {
    try {
      commit(nft, [request]);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }
  removeIfUnused(nft, bridgeTable);
}

/** Whether the kernel has it, for CHECK. */
export function has(nft: NetlinkSocket, { port, mac }: Pick<Guard, 'port' | 'mac'>): boolean {
  return element.get(nft, guarded, port) !== undefined && element.get(nft, allowed, [port, mac]) !== undefined;
}

function baseRequests(): Request[] {
  return [
    table.add(bridgeTable),
    set.create(guarded),
    set.create(allowed),
    chain.create(base),
    rule.add(base, [
      inSet(meta.iifname, guarded),
      notInSet(concat<readonly [string, Mac]>(meta.iifname, ether.saddr), allowed),
      verdict('drop'),
    ]),
  ];
}
