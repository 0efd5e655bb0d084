/**
 * The mark of a directory that is an overlay's store: a file `network` with the network's name. Where a mount is
 * missing, an empty directory is left. A machine that has never been in the overlay could not tell that from a new
 * store, and would begin an overlay of its own, with prefixes that others have. So the first node joins only where
 * somebody has marked the directory.
 */
import { NetloomError } from '../error.ts';
import { directoryOf, isDirectory, makeDirectories, O, tryReadText, tryStat, writeText } from '../ffi/file.ts';

/** Checks that a directory without nodes may be joined. @throws NetloomError not-available, invalid-config */
export function requireMark(directory: string, network: string): void {
  const marked = read(directory);
  if (marked === undefined) {
    throw new NetloomError('not-available', `The overlay's store "${directory}" is empty: nobody has joined there`, {
      hint: `mount it; or if this is the first node of all: netloom overlay create ${network}`,
    });
  }
  requireSame(directory, network, marked);
}

/**
 * Marks a directory, and creates it where it is missing. NB: not its parent, whose mount may be missing.
 * @returns false where it was marked before
 * @throws NetloomError not-available, invalid-config
 */
export function mark(directory: string, network: string): boolean {
  const marked = read(directory);
  if (marked !== undefined) {
    requireSame(directory, network, marked);
    return false;
  }
  const above = directoryOf(directory) ?? '/';
  const stat = tryStat(above);
  if (stat === undefined || !isDirectory(stat)) {
    throw new NetloomError('not-available', `Cannot make the overlay's store "${directory}": "${above}" is not there`, {
      hint: 'mount it, or create the directory',
    });
  }
  makeDirectories(directory);
  writeText(fileOf(directory), `${network}\n`, O.WRONLY | O.CREAT);
  return true;
}

function requireSame(directory: string, network: string, marked: string): void {
  if (marked === network) return;
  throw new NetloomError(
    'invalid-config',
    `"store.path" is "${directory}", expected a directory of the network "${network}": it is that of "${marked}"`,
  );
}

function read(directory: string): string | undefined {
  return tryReadText(fileOf(directory))?.trim();
}

function fileOf(directory: string): string {
  return `${directory}/network`;
}
