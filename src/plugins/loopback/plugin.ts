/**
 * loopback: the container's lo, up. CNI_IFNAME does not matter: runtimes set it to `lo`, or to anything else.
 * https://www.cni.dev/plugins/current/main/loopback/
 */
import { describeLo, lowerLo, raiseLo, verifyLo } from '../../attach/lo.ts';
import { openContainer } from '../../attach/namespace.ts';
import type { CniCall, NetConf } from '../../cni/call.ts';
import { confSchema } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { requireRoute } from '../../rtnl/socket.ts';

const TYPE = 'loopback';

export const loopback: Plugin<NetConf> = {
  type: TYPE,
  about: 'the loopback interface of the container, up',
  schema: confSchema(() => ({})),
  add,
  del: (call) => lowerLo(call, TYPE),
  check(call) {
    using container = openContainer(call);
    verifyLo(container);
  },
  gc() {},
  status() {
    requireRoute();
  },
};

function add(call: CniCall): CniResult {
  using container = openContainer(call);
  raiseLo(call, container, TYPE);
  return call.conf.prevResult ?? describeLo(container, call.netns);
}
