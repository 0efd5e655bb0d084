/** Debian's etcd as the store of a cluster. */
import { execFileSync } from 'node:child_process';
import type { ExecutionContext } from 'ava';
import { Etcd } from '../../support/etcd.ts';
import type { Json } from '../../support/lab.ts';
import type { Cluster } from './cluster.ts';
import type { SharedStore, StoredNode } from './shared-store.ts';

/** The keys of the nodes of the network `net`. */
const NODES = '/netloom/net/nodes/';

export class EtcdStore implements SharedStore {
  readonly conf: Json;
  readonly #etcd: Etcd;

  private constructor(etcd: Etcd) {
    this.#etcd = etcd;
    this.conf = { type: 'etcd', endpoints: etcd.endpoints };
  }

  /** Starts an etcd with one member on the underlay, and makes it the cluster's store. */
  static async serve(t: Pick<ExecutionContext, 'teardown'>, cluster: Cluster): Promise<void> {
    const address = cluster.addressOn(1);
    const options = address.includes(':')
      ? [`${address}/64`, 'dev', 'under0', 'nodad']
      : [`${address}/24`, 'dev', 'under0'];
    execFileSync('ip', ['addr', 'add', ...options]);
    cluster.shared = new EtcdStore(await Etcd.start(t, cluster.lab.root, { address }));
  }

  async nodes(): Promise<StoredNode[]> {
    // The first key behind the prefix: "0" comes after "/".
    const range = { key: base64(NODES), range_end: base64(NODES.replace(/\/$/, '0')) };
    const { kvs = [] } = (await this.#etcd.ask('/v3/kv/range', range)) as { kvs?: readonly { value: string }[] };
    return kvs.map(({ value }) => JSON.parse(Buffer.from(value, 'base64').toString()) as StoredNode);
  }

  async takeAway(): Promise<void> {
    await this.#etcd.killMember(0);
  }

  async restore(): Promise<void> {
    this.#etcd.startMember(0);
    await this.#etcd.serves();
  }

  /** Compacts away the former revisions, or kills etcd and starts it again at once. */
  async disturb(kind: number): Promise<void> {
    if (kind % 2 === 1) {
      await this.takeAway();
      await this.restore();
      return;
    }
    const { header } = (await this.#etcd.ask('/v3/kv/range', { key: base64(NODES) })) as {
      header: { revision: string };
    };
    try {
      await this.#etcd.ask('/v3/kv/compaction', { revision: header.revision, physical: true });
    } catch (error) {
      // There was no change since the last compaction.
      if (!/has been compacted/.test(String(error))) throw error;
    }
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
