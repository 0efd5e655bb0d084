/** Links of the host that those of containers are made of, or hang on. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/**
 * A wire with both ends, `m0` and `m1`, on the host, once. NB: never up, for a device that has moved is as if it never
 * was.
 */
export function makeWire(): void {
  if (existsSync('/sys/class/net/m0')) return;
  execFileSync('ip', ['link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1']);
}

/** What links of the container hang on: `m0`, with carrier. */
export function makeMaster(): void {
  makeWire();
  for (const name of ['m0', 'm1']) execFileSync('ip', ['link', 'set', name, 'up']);
}
