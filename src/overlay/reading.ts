/**
 * The nodes of a store for the length of one call, which needs them several times: they are read once, and again only
 * where the store has changed since.
 */
import { tryStat } from '../ffi/file.ts';
import type { Paths } from '../paths.ts';
import { readRecords, stampOf } from './file-store.ts';
import type { FileMembership } from './members.ts';
import type { Membership, Surroundings } from './membership.ts';
import { memoryOf, remembered } from './memory.ts';
import type { NodeRecord } from './record.ts';

type Records = Required<Surroundings>['records'];

/** The clock of a file system goes in steps of up to so many ms. */
const TICK = 10;

/** Of the store `file`. */
export function readingOfDirectory({ path }: Pick<FileMembership, 'path'>): Records {
  return reading(
    () => stampOf(path),
    (warn) => readRecords(path, warn),
  );
}

/** Of one that the agent speaks to. */
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
    // NB: what is read faster may have been changed since without another stamp, and is read again as fast.
    const isSafe = stamp !== '' && performance.now() - begin > TICK;
    known = records !== undefined && isSafe ? { stamp, records } : undefined;
    return records;
  };
}
