/**
 * host: the host's own network. Nothing is made, so nothing has to be removed. The plugin reports the host's
 * interfaces, and refuses a container that has a namespace of its own, which no plugin can move into the host's.
 */

import { describeNamespace } from '../../attach/describe.ts';
import { dnsOf } from '../../attach/dns.ts';
import { refuseIpam } from '../../attach/without-ipam.ts';
import type { CniCall, NetConf } from '../../cni/call.ts';
import { confSchema } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { openNetns, ownNetns } from '../../netns/namespace.ts';
import { openRoute, requireRoute } from '../../rtnl/socket.ts';

export const host: Plugin<NetConf> = {
  type: 'host',
  about: "the host's own network, for containers that run in it",
  schema: confSchema(() => ({})),
  // For other plugins the host's namespace in CNI_NETNS is a mistake; here it is the only right one.
  netns: 'any',
  add,
  del() {},
  // Interfaces and addresses of a host come and go, and those of a container in its network with them: only the
  // namespace counts.
  check: refuseOther,
  gc() {},
  status({ conf }) {
    refuseIpam(conf);
    requireRoute();
  },
};

function add(call: CniCall): CniResult {
  const { conf } = call;
  refuseIpam(conf);
  refuseOther(call);
  using nl = openRoute();
  return { ...describeNamespace(nl, undefined), ...dnsOf(conf) };
}

/** @throws NetloomError not-host-namespace, no-namespace, not-a-namespace */
function refuseOther({ netns: path, containerId }: CniCall): void {
  using netns = openNetns(path);
  using own = ownNetns();
  if (netns.isSameAs(own)) return;
  throw new NetloomError(
    'not-host-namespace',
    `Cannot attach the container "${containerId}" to the host's network: CNI_NETNS "${path}" is a network namespace of its own, and what runs in it cannot be moved`,
    { hint: "have the runtime start it in the host's namespace, as podman run --network host does" },
  );
}
