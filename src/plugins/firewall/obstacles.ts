/** Other firewalls of the host that have a word after ours, and what the administrator does about them once. No reason to fail: it may have been done in a way that is not recognized. */
import type { CniCall } from '../../cni/call.ts';
import type { CniIp } from '../../cni/result.ts';
import { messageOf } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { legacyWayOut } from '../../nft/legacy-forward.ts';
import * as table from '../../nft/table.ts';
import type { FirewallConf } from './conf.ts';

/** What the reference takes. */
const ZONE = 'trusted';

export function warnOfObstacles(call: CniCall<FirewallConf>, nft: NetlinkSocket, ips: readonly CniIp[]): void {
  for (const family of new Set(ips.map(({ address }) => address.family))) {
    let way: string | undefined;
    try {
      way = legacyWayOut(family);
    } catch (error) {
      // A runtime may lack CAP_NET_RAW, and the table may go while it is read.
      call.warn(`Whether the legacy iptables of this host drops what netloom allows is not known: ${messageOf(error)}`);
    }
    if (way === undefined) continue;
    call.warn(
      `The legacy iptables of this host drops what no rule of it accepts, IPv${family} of this container as well. Let pass what netloom allows: ${way}`,
    );
  }
  const { backend, firewalldZone: zone = ZONE } = call.conf;
  if (backend !== 'firewalld' || table.get(nft, { family: 'inet', name: 'firewalld' }) === undefined) return;
  const sources = ips.map(({ address }) => `--add-source=${address.network()}`).join(' ');
  call.warn(
    `"backend" is "firewalld", and netloom puts no address into a zone. Put the network there: firewall-cmd --permanent --zone=${zone} ${sources} && firewall-cmd --reload`,
  );
}
