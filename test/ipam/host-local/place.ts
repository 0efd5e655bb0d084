/** Networks with leases for tests, and what must always hold for them. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { LeasePlace } from '../../../src/ipam/host-local/lease-directory.ts';
import { indexPath } from '../../../src/ipam/host-local/lease-index.ts';
import { type RangeSet, rangeSets } from '../../../src/ipam/range.ts';
import { Cidr } from '../../../src/net/cidr.ts';
import { Ip } from '../../../src/net/ip.ts';

export interface TestPlace extends LeasePlace {
  readonly root: string;
  /** The network's directory. */
  readonly path: string;
  readonly warnings: string[];
}

/** An empty network that is removed when the test ends. */
export function placeFor(t: ExecutionContext, parent = tmpdir()): TestPlace {
  const root = mkdtempSync(join(parent, 'netloom-leases-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  return placeAt(root);
}

export function placeAt(root: string): TestPlace {
  const warnings: string[] = [];
  return {
    root,
    warnings,
    dataDir: `${root}/networks`,
    network: 'net',
    state: `${root}/state`,
    path: `${root}/networks/net`,
    warn: (message) => warnings.push(message),
  };
}

/** One range set per subnet. */
export function setsOf(...subnets: string[]): readonly RangeSet[] {
  return rangeSets(
    subnets.map((subnet) => [{ subnet: Cidr.parse(subnet) }]),
    'ranges',
  );
}

/** The leases on disk: address to content. */
export function leasesIn({ path }: TestPlace): Record<string, string> {
  const names = readdirSync(path).filter((name) => Ip.tryParse(name) !== undefined);
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(`${path}/${name}`, 'utf8')]));
}

/** Files in the network's directory that are neither leases nor part of the layout. */
export function strayFiles({ path }: TestPlace): string[] {
  return readdirSync(path).filter(
    (name) => !/^(lock|last_reserved_ip\.\d+)$/.test(name) && Ip.tryParse(name) === undefined,
  );
}

/** The index: attachment to addresses. */
export function indexOf(place: TestPlace): Record<string, string> {
  const path = indexPath(place.state, place.path);
  const names = readdirSync(path).filter((name) => name !== '.stamp');
  return Object.fromEntries(names.sort().map((name) => [name, readlinkSync(`${path}/${name}`)]));
}
