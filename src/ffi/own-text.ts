/**
 * The program's own code and constants in memory. man 2 madvise, man 5 proc (smaps).
 *
 * To begin, the engine touches 31 MB of its code, 64 KiB with each page that is missing, and hardly any of it again.
 * The kernel counts them as ours for as long as the process lives, for it looks for pages to take back only when memory
 * is short. They are a file's, unchanged and in the page cache: what is needed again costs a minor fault.
 */
import { adapter } from '#ffi';
import { tryReadlink, tryReadText } from './file.ts';

const lib = adapter.load({ madvise: { args: ['size', 'size', 'i32'], returns: 'i32' } });

const MADV_DONTNEED = 4;

/** Gives back the pages of code and constants. Where something has changed one (a debugger) they stay. */
export function releaseOwnText(): void {
  const self = tryReadlink('/proc/self/exe');
  for (const [begin, end] of textOf(tryReadText('/proc/self/smaps') ?? '', self ?? '')) {
    lib.madvise(begin, end - begin, MADV_DONTNEED);
  }
}

/**
 * Where an executable's code and constants are in a process, by its smaps. NB: only where all of it is the file's
 * (Anonymous: 0 kB). What was written to would come back without the change.
 */
export function textOf(smaps: string, executable: string): [begin: number, end: number][] {
  const found: [number, number][] = [];
  let current: [number, number] | undefined;
  for (const line of smaps.split('\n')) {
    const [range = '', permissions = '', , , , ...path] = line.split(/ +/);
    const dash = range.indexOf('-');
    if (dash > 0 && !range.endsWith(':')) {
      const isText = (permissions === 'r-xp' || permissions === 'r--p') && path.join(' ') === executable;
      current = isText ? [Number.parseInt(range, 16), Number.parseInt(range.slice(dash + 1), 16)] : undefined;
    } else if (range === 'Anonymous:' && permissions === '0' && current !== undefined) found.push(current);
  }
  return found;
}
