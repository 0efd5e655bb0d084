/**
 * The nodes of a store for one call, which needs them several times. They are read once, and again only where the store
 * has changed since.
 */
import { tryStat } from '../ffi/file.ts';
import type { Paths } from '../paths.ts';
import { readRecords, stampOf } from './file-store.ts';
import type { FileMembership } from './members.ts';
import type { Membership, Surroundings } from './membership.ts';
import { memoryOf, remembered } from './memory.ts';
import type { NodeRecord } from './record.ts';

type Records = Required<Surroundings>['records'];

/** The clock of a file system may advance in steps of this many ms. */
const TICK = 10;

/** For the store `file`. */
export function readingOfDirectory({ path }: Pick<FileMembership, 'path'>): Records {
  return reading(
    () => stampOf(path),
    (warn) => readRecords(path, warn),
  );
}

/** For a store that only the agent talks to. */
export function readingOfMemory({ network }: Pick<Membership, 'network'>, paths: Paths): Records {
  const file = memoryOf(paths, network);
  return reading(
    () => {
      const stat = tryStat(file);
      return stat === undefined ? '' : `${stat.dev}:${stat.ino}:${stat.mtime}:${stat.size}`;
    },
    () => remembered(paths, network),
  );
}

function reading(stampNow: () => string, read: Records): Records {
  let known: { readonly stamp: string; readonly records: NodeRecord[] } | undefined;
  return (warn) => {
    const stamp = stampNow();
    if (known !== undefined && known.stamp === stamp) return known.records;
    const begin = performance.now();
    const records = read(warn);
    // NB: after a faster read the store may change again within the same stamp. Then nothing is kept: reading again is
    // as fast.
    const isSafe = stamp !== '' && performance.now() - begin > TICK;
    known = records !== undefined && isSafe ? { stamp, records } : undefined;
    return records;
  };
}
