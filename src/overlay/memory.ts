/** What a node remembers by itself: which machine it is, and the nodes that it last knew, so that it forwards while the store cannot be reached, also after a boot. */
import { hasCode } from '../error.ts';
import { makeDirectories, replaceText, tryReadText } from '../ffi/file.ts';
import { randomBytes } from '../ffi/random.ts';
import type { Paths } from '../paths.ts';
import { type NodeRecord, recordOf } from './record.ts';

/** An id of this machine's own, made when it is first asked for. */
export function machineId({ state }: Paths): string {
  const file = `${state}/machine`;
  const known = tryReadText(file)?.trim();
  if (known !== undefined && known !== '') return known;
  let id = '';
  for (const byte of randomBytes(16)) id += byte.toString(16).padStart(2, '0');
  makeDirectories(state);
  replaceText(file, `${id}\n`);
  return tryReadText(file)?.trim() ?? id;
}

export function remembered(paths: Paths, network: string): NodeRecord[] {
  const text = tryReadText(memoryOf(paths, network));
  if (text === undefined) return [];
  try {
    const json: unknown = JSON.parse(text);
    return Array.isArray(json) ? json.flatMap((each) => recordOf(each) ?? []) : [];
  } catch {
    return []; // damaged: as good as none, the store has the truth
  }
}

/** Writes it down where it is not what is there. A full disk is no reason to forward nothing. */
export function remember(paths: Paths, network: string, nodes: readonly NodeRecord[]): void {
  const file = memoryOf(paths, network);
  const text = `${JSON.stringify(nodes)}\n`;
  if (tryReadText(file) === text) return;
  try {
    makeDirectories(`${paths.state}/overlay`);
    replaceText(file, text);
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT', 'EROFS')) throw error;
  }
}

/** The file with what is known of a network. */
export function memoryOf({ state }: Paths, network: string): string {
  return `${state}/overlay/${network}.json`;
}
