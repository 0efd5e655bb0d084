/**
 * A node's presence: a lease that the node keeps alive, and a key that names the lease. Status only: nothing but
 * reclaim() acts upon it, which asks how long ago the node was last heard of. etcd counts that time, so no machine's
 * clock matters. NB: the key does not go with the lease. A missing key is that of a node that could never say so, which
 * may well be alive. A key whose lease is gone is that of a node that has been silent for longer than etcd remembers.
 */
import type { EtcdClient } from './client.ts';
import { int64, type Part, part, put } from './wire.ts';

/** For how long etcd remembers when a node was last heard of, in seconds. */
export const REMEMBERED = 3600;

export class Presence {
  readonly #client: EtcdClient;
  readonly #key: string;
  #lease: string | undefined;

  constructor(client: EtcdClient, key: string) {
    this.#client = client;
    this.#key = key;
  }

  /**
   * Says once that the node is there.
   * @param known the lease in etcd's key, as far as it is known: reclaim() removes the key
   */
  async tell(known: string | undefined, signal: AbortSignal): Promise<void> {
    if (!(await this.#isKept(signal))) {
      const granted = await this.#client.ask('/v3/lease/grant', { TTL: `${REMEMBERED}` }, signal);
      this.#lease = int64(granted['ID']);
    }
    if (known === this.#lease) return;
    await this.#client.ask('/v3/kv/txn', { success: [put(this.#key, this.#lease ?? '')] }, signal);
  }

  async #isKept(signal: AbortSignal): Promise<boolean> {
    if (this.#lease === undefined) return false;
    const answer = await this.#client.ask('/v3/lease/keepalive', { ID: this.#lease }, signal);
    return Number(int64(part(answer['result'])['TTL'])) > 0;
  }
}

/** How long ago a node was last heard of, in seconds; undefined where that is longer than etcd remembers. */
export async function silenceOf(client: EtcdClient, lease: string): Promise<number | undefined> {
  const answer: Part = await client.ask('/v3/lease/timetolive', { ID: lease });
  const left = Number(int64(answer['TTL']));
  return left > 0 ? Math.max(0, Number(int64(answer['grantedTTL'])) - left) : undefined;
}
