/** loopback: the container's lo, up. https://www.cni.dev/plugins/current/main/loopback/ */
import { openContainer, tryOpenContainer } from '../../attach/namespace.ts';
import type { CniCall, NetConf } from '../../cni/call.ts';
import { confSchema } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';

/** Whatever CNI_IFNAME says: runtimes give `lo` there, or what they please. */
const LO = { name: 'lo' } as const;

export const loopback: Plugin<NetConf> = {
  type: 'loopback',
  about: 'the loopback interface of the container, up',
  schema: confSchema(() => ({})),
  add,
  del,
  check,
  gc() {},
  status() {
    openRoute().close();
  },
};

function add(call: CniCall): CniResult {
  using container = openContainer(call);
  container.nl.execute(link.set(LO, {}, { up: true }));
  const lo = link.get(container.nl, LO);
  // What the kernel gave it: 127.0.0.1/8, and ::1/128 where it has IPv6.
  const ips = addr.list(container.nl, { link: lo.index }).map(({ address }) => ({ address, interface: 0 }));
  const previous = call.conf.prevResult;
  if (previous !== undefined) return previous;
  return {
    interfaces: [{ name: LO.name, ...(lo.mac !== undefined && { mac: lo.mac }), mtu: lo.mtu, sandbox: call.netns }],
    ips,
  };
}

/** As the reference does: down again, so that a namespace that lives on is as it was. */
function del(call: CniCall): void {
  using container = tryOpenContainer(call);
  if (container !== undefined) container.nl.execute(link.set(LO, {}, { up: false }));
}

function check(call: CniCall): void {
  using container = openContainer(call);
  if (!link.get(container.nl, LO).isUp) throw new NetloomError('check-failed', '"lo" in the container is down');
}
