/** Something that is not as it should be. */

import type { CachedAttachment } from '../../runtime/cache.ts';
import type { Network } from '../../runtime/conf-directory.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import type { Graph } from '../graph.ts';
import type { Snapshot } from '../snapshot.ts';

export interface Finding {
  /** By which check it was found, such as `forwarding`. */
  readonly check: string;
  /** One sentence without a full stop. */
  readonly what: string;
  /** What was seen, such as a setting with its value. */
  readonly evidence: string;
  /** What comes of it. */
  readonly effect: string;
  /** What ends it. */
  readonly mend: string;
  /** Does so; missing where a person has to decide. */
  readonly fix?: () => void;
}

/** What checks look at. All of it was read at one moment. */
export interface Examination {
  readonly context: RuntimeContext;
  readonly snapshot: Snapshot;
  readonly graph: Graph;
  readonly networks: readonly Network[];
  /** Files that are no network, and why. */
  readonly faults: readonly { readonly file: string; readonly message: string }[];
  /** What runtimes remember to have attached. */
  readonly attachments: readonly CachedAttachment[];
}

export type Check = (examination: Examination) => Finding[];
