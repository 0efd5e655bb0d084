/**
 * What rehearsing an overlay attachment needs from the host: the machine's identity, the nodes that it knows, and
 * copies of stores that are directories, so that a rehearsal joins nothing.
 */
import { tryList } from '../ffi/directory.ts';
import { isRegular, makeDirectories, O, readText, tryStat, writeText } from '../ffi/file.ts';
import type { Paths } from '../paths.ts';
import { type Conflist, type Json, parseConflist } from '../runtime/conflist.ts';

/** Copies what the host knows about its overlays to where the rehearsal looks for it. */
export function copyOverlays(from: Paths, to: Paths): void {
  copyFiles(from.state, to.state, (name) => name === 'machine');
  copyFiles(`${from.state}/overlay`, `${to.state}/overlay`);
  copyFiles(`${from.run}/overlay`, `${to.run}/overlay`, (name) => name.endsWith('.json'));
}

/** The network with copies of its stores, below a directory. */
export function withOwnStores(list: Conflist, directory: string): Conflist {
  const json = JSON.parse(list.text) as Json;
  let count = 0;
  const put = (conf: Json): Json => {
    const path = pathOf(conf['store']);
    if (conf['type'] !== 'overlay' || path === undefined) return conf;
    const copy = `${directory}/${list.name}-${count++}`;
    copyFiles(path, copy, (name) => name !== 'lock');
    return { ...conf, store: { ...(conf['store'] as Json), path: copy } };
  };
  const whole = Array.isArray(json['plugins']) ? { ...json, plugins: json['plugins'].map(put) } : put(json);
  return count === 0 ? list : parseConflist(JSON.stringify(whole), `the network "${list.name}"`);
}

function pathOf(store: unknown): string | undefined {
  if (typeof store !== 'object' || store === null || !('path' in store)) return undefined;
  return typeof store.path === 'string' && store.path.startsWith('/') ? store.path : undefined;
}

function copyFiles(from: string, to: string, isWanted: (name: string) => boolean = () => true): void {
  for (const name of tryList(from) ?? []) {
    const stat = tryStat(`${from}/${name}`);
    if (!isWanted(name) || stat === undefined || !isRegular(stat)) continue;
    makeDirectories(to);
    writeText(`${to}/${name}`, readText(`${from}/${name}`), O.WRONLY | O.CREAT | O.TRUNC);
  }
}
