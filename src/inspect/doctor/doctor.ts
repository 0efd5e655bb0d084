/** Compares the requested state with the actual one. Each check examines one thing, and none changes anything. */
import { AttachmentCache } from '../../runtime/cache.ts';
import { readNetworks } from '../../runtime/conf-directory.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { Graph } from '../graph.ts';
import { take } from '../take.ts';
import { drift } from './attachments.ts';
import { typos, unreadable } from './conflists.ts';
import type { Check, Examination, Finding } from './finding.ts';
import { goneNamespaces, leakedElements, leakedLeases, leakedLinks } from './leaks.ts';
import { lost } from './lost.ts';
import { forwarding, mtus, otherFirewalls, reversePaths } from './traffic.ts';

const CHECKS: readonly Check[] = [
  unreadable,
  typos,
  goneNamespaces,
  lost,
  leakedLinks,
  leakedLeases,
  leakedElements,
  drift,
  forwarding,
  otherFirewalls,
  mtus,
  reversePaths,
];

export function examine(context: RuntimeContext): Finding[] {
  const snapshot = take(context);
  const { networks, faults } = readNetworks(context.paths.conf);
  const attachments = new AttachmentCache(context.paths.cni).list((message) => context.warn(message));
  const examination: Examination = { context, snapshot, graph: new Graph(snapshot), networks, faults, attachments };
  return CHECKS.flatMap((check) => check(examination));
}
