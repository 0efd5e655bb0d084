/** One call of a plugin, read and checked. https://www.cni.dev/docs/spec/#parameters */
import type { Paths } from '../paths.ts';
import type { CniDns, CniResult } from './result.ts';

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** One attachment that a runtime still knows, as GC lists them. */
export interface Attachment {
  readonly containerID: string;
  readonly ifname: string;
}

/** The keys that every configuration may have. The keys of one plugin are in the type that extends this one. */
export interface NetConf {
  readonly cniVersion: string;
  readonly name: string;
  readonly type: string;
  /** Kept as it came: each IPAM plugin has a schema of its own. `type` is checked to be a string. */
  readonly ipam?: Readonly<Record<string, unknown>> & { readonly type: string };
  readonly dns?: CniDns;
  readonly prevResult?: CniResult;
  readonly validAttachments?: readonly Attachment[];
  readonly logFile?: string;
}

export interface CniCall<C extends NetConf = NetConf> {
  readonly command: Command;
  /** Empty for GC and STATUS, as are the next two. */
  readonly containerId: string;
  /** Path of the container's namespace; empty on a DEL that has none. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS as it came; only some plugins look into it (args.ts). */
  readonly args: string;
  /** The directories of CNI_PATH. */
  readonly path: readonly string[];
  readonly conf: C;
  /** The configuration as it came, to hand on to another plugin. */
  readonly stdin: string;
  readonly paths: Paths;
  /** The environment, to hand on to another plugin. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A line for the log: stderr, or `logFile`. */
  warn(message: string): void;
}
