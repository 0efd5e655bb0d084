/** What calls could leave behind, compared with a used host: bridges and tables stay for the next container. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { snapshot } from '../support/host.ts';
import type { Lab } from '../support/lab.ts';
import { soakNetworks } from './soak.ts';

/** The state of the host after one container of each network has come and gone. */
export function usedHost(lab: Lab): string {
  const sandbox = lab.sandbox('first');
  for (const [bridge = {}] of soakNetworks()) {
    lab.add(bridge, { sandbox });
    lab.del(bridge, { sandbox });
  }
  return hostOf(lab);
}

/** Links, addresses, routes and rules. */
export function hostOf(lab: Lab): string {
  const nothing = join(lab.root, 'nothing');
  mkdirSync(nothing, { recursive: true });
  return snapshot(nothing);
}

/** Files of attachments after a GC: leases, records, and half-written files. */
export function leftFiles(lab: Lab): string[] {
  for (const [bridge = {}] of soakNetworks()) lab.gc(bridge, []);
  const below = ['var/lib/cni', 'var/lib/netloom', 'run'].filter((path) => existsSync(join(lab.root, path)));
  const files = below.flatMap((path) => readdirSync(join(lab.root, path), { recursive: true, encoding: 'utf8' }));
  return files.filter((file) => /(^|\/)10\.[^/]*$|attachments\/|\.tmp$/.test(file));
}
