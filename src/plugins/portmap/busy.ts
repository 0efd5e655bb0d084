/** Ports that a process of the host listens on: publishing takes them away from it, so the user gets a warning. */
import type { CniCall } from '../../cni/call.ts';
import { type Listener, listeners, openDiag } from '../../diag/listeners.ts';
import { isAny } from '../../nft/portmap/layout.ts';
import type { Publication, PublishedPort } from '../../nft/portmap/portmap.ts';

/** The most ports to look at: each costs two requests, and nobody publishes a range of thousands by chance. */
const MOST = 64;

export function warnOfListeners(call: Pick<CniCall, 'warn'>, publications: readonly Publication[]): void {
  using diag = openDiag();
  const said = new Set<string>();
  for (const { container, ports } of publications) {
    for (const port of ports.slice(0, MOST)) {
      const found = listeners(diag, port.protocol, port.hostPort).find((each) =>
        isInTheWay(each, port, container.family),
      );
      if (found === undefined) continue;
      const where = `${port.protocol} ${found.address.family === 6 ? `[${found.address}]` : found.address}:${found.port}`;
      if (said.has(where)) continue;
      said.add(where);
      call.warn(
        `a process on the host listens on ${where}: what comes for it goes to the container "${container}" now`,
      );
    }
  }
}

function isInTheWay({ address, isDual }: Listener, { host }: PublishedPort, family: 4 | 6): boolean {
  const isOfFamily = address.family === family || (family === 4 && isDual);
  return isOfFamily && (host === undefined || isAny(address) || address.equals(host));
}
