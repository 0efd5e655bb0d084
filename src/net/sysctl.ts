/** Settings below /proc/sys, of the network namespace of the calling thread. man 5 proc. */
import { isHeard, tell } from '../deed.ts';
import { tryReadText, writeText } from '../ffi/file.ts';

/**
 * Reads a setting by its path below /proc/sys, such as `net/ipv4/ip_forward`. Undefined where this kernel does not have
 * it.
 */
export function readSysctl(key: string): string | undefined {
  return tryReadText(`/proc/sys/${key}`)?.trim();
}

/** Equivalent to: `sysctl -w KEY=VALUE` @throws NetloomError ENOENT where this kernel does not have it */
export function writeSysctl(key: string, value: string): void {
  writeText(`/proc/sys/${key}`, value);
  if (isHeard()) {
    tell({ netns: undefined, steps: [{ action: `set ${key} to ${value}`, command: `sysctl -qw '${key}=${value}'` }] });
  }
}

/** Writes a setting unless it has that value already. @returns the old value where it was changed */
export function ensureSysctl(key: string, value: string): string | undefined {
  const old = readSysctl(key);
  if (old === value) return undefined;
  writeSysctl(key, value);
  return old;
}
