/** A host-local network in use: one file per address, and the last address allocated. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Fills addresses from 10.64.0.2 on. */
export function prefill(dataDir: string, network: string, count: number): void {
  const dir = join(dataDir, network);
  mkdirSync(dir, { recursive: true });
  let last = '';
  for (let number = 2; number < count + 2; number++) {
    last = `10.64.${number >> 8}.${number & 255}`;
    writeFileSync(join(dir, last), `container-${number}\r\neth0`);
  }
  if (last !== '') writeFileSync(join(dir, 'last_reserved_ip.0'), last);
}
