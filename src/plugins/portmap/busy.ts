/** Ports that a process of the host listens on: publishing takes them away from it, which deserves a word. */
import type { CniCall } from '../../cni/call.ts';
import { type Listener, listeners, openDiag } from '../../diag/listeners.ts';
import { isAny } from '../../nft/portmap/layout.ts';
import type { Publication, PublishedPort } from '../../nft/portmap/portmap.ts';

/** So many ports are looked at: each is two questions, and a range of thousands is nobody's by chance. */
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
