/** Links on the host that container links are made from, or hang on. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/**
 * A veth pair on the host, `m0` and `m1`, made once. NB: it is never up, so that a device that was moved and came back
 * looks untouched.
 */
export function makeWire(): void {
  if (existsSync('/sys/class/net/m0')) return;
  execFileSync('ip', ['link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1']);
}

/** The master that container links hang on: `m0`, with carrier. */
export function makeMaster(): void {
  makeWire();
  for (const name of ['m0', 'm1']) execFileSync('ip', ['link', 'set', name, 'up']);
}
