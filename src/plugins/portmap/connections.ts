/**
 * Connections that began before a port was published or withdrawn: the kernel would go on sending their packets where
 * the first one went.
 */
import type { Ip } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import type { Entry, Wanted } from '../../nft/ct/entry.ts';
import { forget } from '../../nft/ct/forget.ts';
import type { AddressKey } from '../../nft/portmap/layout.ts';
import type { Publication, PublishedPort, Withdrawn } from '../../nft/portmap/portmap.ts';
import * as addr from '../../rtnl/addr.ts';

const UDP = 17;
/** Up to so many ports are looked up one by one. */
const FEW = 4;
const NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: UDP, sctp: 132 };

/**
 * After publishing: forgets the connections of UDP senders that keep their source port and have been sending to the
 * host itself, or to a container that had the port before. What the host only forwards is left alone.
 * NB: also forgets connections that a process of the host began from that port. It does so without meaning to when it
 * answers after its connection was forgotten: then the sender's packets count as replies, and are not translated while
 * they go on. (A process that answers only after this call still keeps its sender.)
 */
export function forgetStrays(nft: NetlinkSocket, nl: NetlinkSocket, publications: readonly Publication[]): void {
  for (const { container, ports } of publications) {
    const { family } = container;
    const published = new Map<number | undefined, PublishedPort[]>();
    for (const port of ports) {
      if (port.protocol === 'udp') published.set(port.hostPort, [...(published.get(port.hostPort) ?? []), port]);
    }
    if (published.size === 0) continue;
    const local = new Set(addr.list(nl, { family }).map(({ address }) => `${address.ip}`));
    const isLocal = (ip: Ip) => local.has(`${ip}`) || (family === 4 && ip.bytes[0] === 127);
    const isOf = ({ host }: PublishedPort, ip: Ip | undefined) =>
      ip !== undefined && (host === undefined ? isLocal(ip) : ip.equals(host));
    const isStray = (entry: Entry) => {
      if (entry.protocol !== UDP) return false;
      const leadsElsewhere = ({ containerPort }: PublishedPort) =>
        entry.answerer?.equals(container) !== true || entry.answererPort !== containerPort;
      const isSent = published.get(entry.port)?.some((each) => isOf(each, entry.destination) && leadsElsewhere(each));
      // Only if the source was not translated: replies to a container that was translated to this port are the
      // container's.
      const isOwn = entry.asker !== undefined && entry.source?.equals(entry.asker) === true;
      return (
        isSent === true || (isOwn && published.get(entry.askerPort)?.some((each) => isOf(each, entry.asker)) === true)
      );
    };
    for (const wanted of questionsFor([...published.keys()])) forget(nft, family, wanted, isStray);
  }
}

/**
 * For each request the kernel goes through its whole table (3 ms), and lists only what matches. For a few ports that
 * costs less than a list of all UDP connections.
 */
function questionsFor(ports: readonly (number | undefined)[]): Wanted[] {
  if (ports.length > FEW) return [{ protocol: UDP }];
  return ports.flatMap((port = 0) => [
    { protocol: UDP, port },
    { protocol: UDP, askerPort: port },
  ]);
}

/**
 * After withdrawing: forgets the connections that lead to the container by one of these ports. Those of TCP too, or a
 * client would wait for a container that is gone.
 */
export function forgetTranslated(nft: NetlinkSocket, withdrawn: readonly Withdrawn[]): void {
  for (const { container, ports } of withdrawn) {
    const known = new Set(ports.map(([, protocol, port]: AddressKey) => `${NUMBERS[protocol]} ${port}`));
    forget(nft, container.family, { answerer: container }, ({ protocol, port, destination, answerer }) => {
      const isTranslated = answerer?.equals(container) === true && destination?.equals(container) === false;
      return isTranslated && known.has(`${protocol} ${port}`);
    });
  }
}
