/** `netloom inspect --watch`: the state, then every change. Notifications of the kernel wake it. */
import type { CommandContext } from '@stricli/core';
import { hasCode } from '../../error.ts';
import { difference, differenceWords } from '../../inspect/difference.ts';
import { select } from '../../inspect/select.ts';
import type { Snapshot } from '../../inspect/snapshot.ts';
import { take } from '../../inspect/take.ts';
import { toText } from '../../inspect/text.ts';
import { RTNLGRP } from '../../rtnl/constants.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { RuntimeContext } from '../../runtime/context.ts';
import { endIfNobodyReads } from '../output.ts';

/**
 * Changes come in groups: a wire is four links and two addresses. Notifications with gaps of less than this many
 * milliseconds count as one change.
 */
const QUIET = 50;
/**
 * Milliseconds to listen at a time. Namespaces without a wire to this one send no notifications, so we also look after
 * each such time.
 */
const PATIENCE = 2000;

/** Goes on until a signal ends the process. */
export function watch(
  { process }: CommandContext,
  context: RuntimeContext,
  what: string | undefined,
  json: boolean,
): never {
  using nl = openRoute();
  for (const group of Object.values(RTNLGRP)) nl.join(group, { everywhere: true });
  const print = (value: unknown, text: string) => process.stdout.write(json ? `${JSON.stringify(value)}\n` : text);
  let before = seen(context, what);
  print(before, toText(before));
  for (;;) {
    endIfNobodyReads();
    if (nl.next(PATIENCE).length > 0) while (nl.next(QUIET).length > 0);
    const after = seen(context, what);
    const differences = difference(before, after);
    before = after;
    if (differences.length === 0) continue;
    print(after, differences.map((each) => `${differenceWords(each)}\n`).join(''));
  }
}

/** What was asked for may appear later, or disappear. */
function seen(context: RuntimeContext, what: string | undefined): Snapshot {
  const snapshot = take(context);
  if (what === undefined) return snapshot;
  try {
    return select(snapshot, what);
  } catch (error) {
    if (hasCode(error, 'unknown-target')) return { ...snapshot, namespaces: [] };
    throw error;
  }
}
