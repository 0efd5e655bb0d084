/**
 * Other firewalls of the host that can drop what ours allows: legacy iptables, where a rule of netloom overrides the
 * policy, and firewalld, which the administrator has to configure once.
 */
import type { Differences } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import type { CniIp } from '../../cni/result.ts';
import { hasCode, messageOf } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { legacyCommand, legacyWayOut, openLegacyWay } from '../../nft/legacy-forward.ts';
import * as table from '../../nft/table.ts';
import type { FirewallConf } from './conf.ts';

/** The reference's default. */
const ZONE = 'trusted';

/** Adds the rule to legacy iptables, and warns about what only the administrator can change. */
export function passObstacles(call: CniCall<FirewallConf>, nft: NetlinkSocket, ips: readonly CniIp[]): void {
  for (const family of new Set(ips.map(({ address }) => address.family))) {
    try {
      openLegacyWay(family);
    } catch (error) {
      if (hasCode(error, 'try-again')) throw error;
      // A runtime may lack CAP_NET_RAW, or /run may be read-only.
      call.warn(
        `The legacy iptables of this host may drop what this container sends by IPv${family}, and could not be asked to let it pass: ${messageOf(error)}. Where its policy is to drop: ${legacyCommand(family)}`,
      );
    }
  }
  const { backend, firewalldZone: zone = ZONE } = call.conf;
  if (backend !== 'firewalld' || table.get(nft, { family: 'inet', name: 'firewalld' }) === undefined) return;
  const sources = ips.map(({ address }) => `--add-source=${address.network()}`).join(' ');
  call.warn(
    `"backend" is "firewalld", and netloom puts no address into a zone. Put the network there: firewall-cmd --permanent --zone=${zone} ${sources} && firewall-cmd --reload`,
  );
}

/** Adds what differs from the state after passObstacles(). */
export function verifyObstacles(ips: readonly CniIp[], differences: Differences): void {
  for (const family of new Set(ips.map(({ address }) => address.family))) {
    try {
      if (legacyWayOut(family) !== undefined)
        differences.add(`the legacy iptables drops what the container sends by IPv${family}`);
    } catch (error) {
      if (!hasCode(error, 'EPERM')) throw error;
    }
  }
}
