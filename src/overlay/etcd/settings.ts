/** Where an etcd is, and how to speak to it. */
import type { Membership } from '../membership.ts';

export interface EtcdSettings {
  /** `http://HOST:PORT` or `https://HOST:PORT`, in the order in which they are tried. */
  readonly endpoints: readonly string[];
  /** What all keys begin with, without a slash at the end. */
  readonly prefix: string;
  /** Files in PEM. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
}

export interface EtcdMembership extends Membership {
  readonly etcd: EtcdSettings;
  /** Whether nodes may have more prefixes than one: in the mode `l2`. */
  readonly hasBlocks: boolean;
  /** Where host-local keeps the leases of all networks, where that is not the usual place. */
  readonly leases?: string | undefined;
}
