/**
 * The wiring of a bridge as text: each sandbox with its veth, and the bridge that joins them. Read from the kernel,
 * without any records.
 */
import type { Netns } from '../../netns/namespace.ts';
import { withNetns } from '../../netns/within.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';

export interface Place {
  readonly name: string;
  readonly netns: Netns;
}

/** One line per sandbox, `blue  eth0 10.1.0.2/24 ⇄ veth3f2a ─┐`, then the bridge. */
export function wiringOf(host: Netns, bridge: string, places: readonly Place[]): string {
  using nl = withNetns(host, () => openRoute());
  const links = link.list(nl);
  const master = links.find(({ name }) => name === bridge);
  if (master === undefined) return `${bridge} is not there`;
  const rows = places.flatMap((place) => wiresOf(place, links, master.index));
  const width = Math.max(...rows.map((row) => row.length));
  const lines = rows.map((row, i) => `${row.padEnd(width)} ─${i === 0 ? '┐' : '┤'}`);
  const addresses = addressesOf(addr.list(nl, { link: master.index }));
  return [...lines, `${' '.repeat(width)}  └─ ${bridge} ${addresses}`].join('\n');
}

function wiresOf({ name, netns }: Place, hostLinks: readonly link.Link[], bridge: number): string[] {
  using nl = withNetns(netns, () => openRoute());
  return link.list(nl).flatMap((inside) => {
    const outside = hostLinks.find(({ index, master }) => index === inside.attrs.link && master === bridge);
    if (outside === undefined) return [];
    return [`${name.padEnd(6)} ${inside.name} ${addressesOf(addr.list(nl, { link: inside.index }))} ⇄ ${outside.name}`];
  });
}

function addressesOf(addresses: readonly addr.Address[]): string {
  const worldwide = addresses.filter(({ scope }) => scope === 0);
  return worldwide.map(({ address }) => address.toString()).join(' ');
}
