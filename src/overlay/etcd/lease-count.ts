/** How full the blocks of a node are, counted by host-local's lease files, which are named after their addresses. */
import { tryList } from '../../ffi/directory.ts';
import type { Cidr } from '../../net/cidr.ts';
import { Ip } from '../../net/ip.ts';
import type { Paths } from '../../paths.ts';
import type { EtcdMembership } from './settings.ts';

/** How often leases are counted, in ms: with thousands it takes a millisecond. */
const OFTEN = 1_000;

export class LeaseCount {
  readonly #directory: string;
  #next = 0;
  #addresses: readonly Ip[] = [];

  constructor({ leases, network }: EtcdMembership, paths: Paths) {
    this.#directory = `${leases ?? paths.leases}/${network}`;
  }

  /**
   * Whether three quarters of the usable addresses are taken. Not usable are the network's address, the gateway, and
   * the last address of each block (src/plugins/overlay/ipam.ts).
   */
  isScarce(blocks: readonly Cidr[]): boolean {
    const size = blocks.reduce((sum, block) => sum + block.size() - 1n, -2n);
    const taken = this.#read().filter((ip) => blocks.some((block) => block.contains(ip))).length;
    return size > 0n && BigInt(taken) * 4n >= size * 3n;
  }

  /**
   * NB: refreshed by time. host-local sets the directory's mtime itself (src/ipam/host-local/lease-index.ts), which
   * therefore need not change with the leases.
   */
  #read(): readonly Ip[] {
    const now = performance.now();
    if (now >= this.#next) {
      this.#next = now + OFTEN;
      this.#addresses = (tryList(this.#directory) ?? []).flatMap((name) => Ip.tryParse(name) ?? []);
    }
    return this.#addresses;
  }
}
