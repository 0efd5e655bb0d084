/**
 * none: a container without a network: lo is up, or with `"loopback": false` not even that. It is a starting point for
 * wiring later, so any other network may be added to it.
 */

import * as v from 'valibot';
import { dnsOf } from '../../attach/dns.ts';
import { describeLo, lowerLo, raiseLo, verifyLo } from '../../attach/lo.ts';
import { openContainer } from '../../attach/namespace.ts';
import { refuseIpam } from '../../attach/without-ipam.ts';
import type { CniCall } from '../../cni/call.ts';
import { boolean, type ConfOf, confSchema } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { requireRoute } from '../../rtnl/socket.ts';

const TYPE = 'none';

const schema = confSchema(() => ({ loopback: v.optional(boolean, true) }));

type NoneConf = ConfOf<typeof schema>;

export const none: Plugin<NoneConf> = {
  type: TYPE,
  about: 'no network but the loopback interface',
  schema,
  add,
  del: (call) => lowerLo(call, TYPE),
  check(call) {
    using container = openContainer(call);
    if (call.conf.loopback) verifyLo(container);
  },
  gc() {},
  status({ conf }) {
    refuseIpam(conf);
    requireRoute();
  },
};

function add(call: CniCall<NoneConf>): CniResult {
  const { conf, netns } = call;
  refuseIpam(conf);
  using container = openContainer(call);
  if (conf.loopback) raiseLo(call, container, TYPE);
  const result = conf.loopback ? describeLo(container, netns) : {};
  return conf.prevResult ?? { ...result, ...dnsOf(conf) };
}
