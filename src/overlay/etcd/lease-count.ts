/** How full the blocks of a node are: by the files of host-local's leases, which are named after their addresses. */
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
   * Whether three quarters of all are taken. Network and gateway are nobody's, and the last of each block
   * (src/plugins/overlay/ipam.ts).
   */
  isScarce(blocks: readonly Cidr[]): boolean {
    const size = blocks.reduce((sum, block) => sum + block.size() - 1n, -2n);
    const taken = this.#read().filter((ip) => blocks.some((block) => block.contains(ip))).length;
    return size > 0n && BigInt(taken) * 4n >= size * 3n;
  }

  /**
   * NB: by the clock. The time of the directory's change is host-local's own (src/ipam/host-local/lease-index.ts), and
   * need not change with it.
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
