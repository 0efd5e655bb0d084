/** Connections that began before a port was published or withdrawn: the kernel would go on sending their packets where the first one went. */
import type { Ip } from '../../net/ip.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { forget } from '../../nft/ct/forget.ts';
import type { AddressKey } from '../../nft/portmap/layout.ts';
import type { Publication, Withdrawn } from '../../nft/portmap/portmap.ts';
import * as addr from '../../rtnl/addr.ts';

const UDP = 17;
const NUMBERS: Readonly<Record<string, number>> = { tcp: 6, udp: UDP, sctp: 132 };

/**
 * After publishing: a sender of UDP that keeps its source port has been sending to the host itself, or to a container that had the port before.
 * What the host only forwards is left alone.
 * NB: also what the host's own process began from that port, as it does without meaning to when it answers after its connection was forgotten: what the sender
 * sends then counts as the answer, and is never looked up again while it goes on. (One that answers later than this still has its sender.)
 */
export function forgetStrays(nft: NetlinkSocket, nl: NetlinkSocket, publications: readonly Publication[]): void {
  for (const { container, ports } of publications) {
    const { family } = container;
    const ofUdp = ports.filter(({ protocol }) => protocol === 'udp');
    if (ofUdp.length === 0) continue;
    const local = new Set(addr.list(nl, { family }).map(({ address }) => `${address.ip}`));
    const isLocal = (ip: Ip) => local.has(`${ip}`) || (family === 4 && ip.bytes[0] === 127);
    for (const { host, hostPort, containerPort } of ofUdp) {
      const isHere = (ip: Ip | undefined) => ip !== undefined && (host === undefined ? isLocal(ip) : ip.equals(host));
      forget(nft, family, { protocol: UDP, port: hostPort }, (entry) => {
        if (entry.protocol !== UDP || entry.port !== hostPort || !isHere(entry.destination)) return false;
        return !(entry.answerer?.equals(container) === true && entry.answererPort === containerPort);
      });
      forget(
        nft,
        family,
        { protocol: UDP, askerPort: hostPort },
        // As its own address: answers to a container whose source was translated to this port are the container's.
        ({ protocol, asker, askerPort, source }) =>
          protocol === UDP && askerPort === hostPort && isHere(asker) && source?.equals(asker as Ip) === true,
      );
    }
  }
}

/** After withdrawing: what leads to the container by one of these ports. TCP too, or a client would wait for a container that is gone. */
export function forgetTranslated(nft: NetlinkSocket, withdrawn: readonly Withdrawn[]): void {
  for (const { container, ports } of withdrawn) {
    const known = new Set(ports.map(([, protocol, port]: AddressKey) => `${NUMBERS[protocol]} ${port}`));
    forget(nft, container.family, { answerer: container }, ({ protocol, port, destination, answerer }) => {
      const isTranslated = answerer?.equals(container) === true && destination?.equals(container) === false;
      return isTranslated && known.has(`${protocol} ${port}`);
    });
  }
}
