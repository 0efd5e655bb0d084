/** A fault that was found. */

import type { CachedAttachment } from '../../runtime/cache.ts';
import type { Network } from '../../runtime/conf-directory.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import type { Graph } from '../graph.ts';
import type { Snapshot } from '../snapshot.ts';

export interface Finding {
  /** The check that found it, such as `forwarding`. */
  readonly check: string;
  /** One sentence without a full stop. */
  readonly what: string;
  /** What was seen, such as a setting with its value. */
  readonly evidence: string;
  /** Its consequence. */
  readonly effect: string;
  /** How to mend it. */
  readonly mend: string;
  /** Mends it; missing where a person has to decide. */
  readonly fix?: () => void;
}

/** The input of the checks. All of it was read at one moment. */
export interface Examination {
  readonly context: RuntimeContext;
  readonly snapshot: Snapshot;
  readonly graph: Graph;
  readonly networks: readonly Network[];
  /** Files that are not valid networks, and why. */
  readonly faults: readonly { readonly file: string; readonly message: string }[];
  /** The attachments that runtimes remember. */
  readonly attachments: readonly CachedAttachment[];
}

export type Check = (examination: Examination) => Finding[];
