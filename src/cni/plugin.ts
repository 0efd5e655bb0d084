import type { CniCall, NetConf } from './call.ts';
import type { ConfSchema } from './config.ts';
import type { CniResult } from './result.ts';

/**
 * What a plugin type is made of. Every verb is synchronous: it returns when the kernel has done what was asked, and
 * throws NetloomError.
 */
export interface Plugin<C extends NetConf> {
  readonly type: string;
  /** One line on what it does, for a person who runs the executable by hand. */
  readonly about: string;
  readonly schema: ConfSchema<C>;
  /** `foreign` (default): CNI_NETNS must not be the caller's own namespace. */
  readonly netns?: 'foreign' | 'any';
  add(call: CniCall<C>): CniResult;
  del(call: CniCall<C>): void;
  check(call: CniCall<C>): void;
  gc(call: CniCall<C>): void;
  status(call: CniCall<C>): void;
}
