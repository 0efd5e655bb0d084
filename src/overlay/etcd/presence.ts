/**
 * That a node is there: a key with a lease, which the node keeps alive. Status only: nobody acts upon it but who reclaims a prefix, and asks how long ago the node was
 * last heard of. etcd counts that, so no clock of a machine matters.
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

  /** Says so once. */
  async tell(signal: AbortSignal): Promise<void> {
    if (this.#lease !== undefined) {
      const answer = await this.#client.ask('/v3/lease/keepalive', { ID: this.#lease }, signal);
      if (Number(int64(part(answer['result'])['TTL'])) > 0) return;
    }
    const granted = await this.#client.ask('/v3/lease/grant', { TTL: `${REMEMBERED}` }, signal);
    const lease = int64(granted['ID']);
    await this.#client.ask('/v3/kv/txn', { success: [put(this.#key, '', lease)] }, signal);
    this.#lease = lease;
  }
}

/** How long ago a node was last heard of, in seconds; undefined where that is longer than etcd remembers. */
export async function silenceOf(client: EtcdClient, lease: string | undefined): Promise<number | undefined> {
  if (lease === undefined) return undefined;
  const answer: Part = await client.ask('/v3/lease/timetolive', { ID: lease });
  const left = Number(int64(answer['TTL']));
  return left > 0 ? Math.max(0, Number(int64(answer['grantedTTL'])) - left) : undefined;
}
