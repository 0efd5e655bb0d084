/**
 * The program's own code and constants in memory. man 2 madvise, man 5 proc (smaps).
 *
 * On start the engine touches 31 MB of its code, 64 KiB with each missing page, and hardly any of it again. The kernel
 * counts these pages as ours for as long as the process lives, because it reclaims pages only when memory is short.
 * They belong to a file, unchanged and in the page cache, so a page that is needed again costs a minor fault.
 */
import { adapter } from '#ffi';
import { tryReadlink, tryReadText } from './file.ts';

const lib = adapter.load({ madvise: { args: ['size', 'size', 'i32'], returns: 'i32' } });

const MADV_DONTNEED = 4;

/** Gives back the pages of code and constants. Mappings with a modified page (by a debugger) stay. */
export function releaseOwnText(): void {
  const self = tryReadlink('/proc/self/exe');
  for (const [begin, end] of textOf(tryReadText('/proc/self/smaps') ?? '', self ?? '')) {
    lib.madvise(begin, end - begin, MADV_DONTNEED);
  }
}

/**
 * Where an executable's code and constants are mapped in a process, from its smaps. NB: only mappings without modified
 * pages (Anonymous: 0 kB). A modified page would come back without the change.
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
