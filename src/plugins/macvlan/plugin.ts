/**
 * macvlan: a link with a MAC of its own on an interface of the host, so that the container is a station of its LAN.
 * https://www.cni.dev/plugins/current/main/macvlan/
 */

import * as v from 'valibot';
import { firstMac, macInArgs } from '../../attach/asked-mac.ts';
import type { LinkPlan } from '../../attach/container-link.ts';
import { containerLinkPlugin } from '../../attach/container-link-plugin.ts';
import { dnsOf } from '../../attach/dns.ts';
import { masterFor, masterKeys, requireMaster } from '../../attach/master.ts';
import type { ContainerSide } from '../../attach/namespace.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema, object, text, uint32 } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import { randomBytes } from '../../ffi/random.ts';
import { localMac, type Mac } from '../../net/mac.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';

/** The kernel's modes except `source`, which takes a list of MACs that no key here gives. */
export const MODES: readonly string[] = ['bridge', 'private', 'vepa', 'passthru'];
const NEEDS = { takesFrames: true, masterUp: true };

const schema = confSchema(() => ({
  ...masterKeys(),
  mode: v.optional(text, 'bridge'),
  mac: v.exactOptional(text),
  bcqueuelen: v.optional(uint32, 0),
  runtimeConfig: v.optional(object({ mac: v.exactOptional(text) }), {}),
}));

type MacvlanConf = ConfOf<typeof schema>;

export const macvlan = containerLinkPlugin<MacvlanConf>({
  type: 'macvlan',
  about: 'a link with a MAC of its own on an interface of the host',
  schema,
  announces: true,
  checkConf({ mode }) {
    if (MODES.includes(mode)) return;
    throw new NetloomError('invalid-config', `unknown macvlan mode: "${mode}", expected one of ${MODES.join(', ')}`);
  },
  plan,
  // From the configuration only, not from IPAM: on somebody else's LAN, its author names the servers.
  dns: (conf) => dnsOf(conf),
  made: ({ mode }) => ({ mode }),
  status: (conf, host) => requireMaster(conf, host, NEEDS),
});

function plan(call: CniCall<MacvlanConf>, host: NetlinkSocket, container: ContainerSide): LinkPlan {
  const { mode, bcqueuelen } = call.conf;
  const asked = askedMac(call);
  const { master, from, attrs } = masterFor(call.conf, host, container, NEEDS);
  const isPassthru = mode === 'passthru';
  if (isPassthru && asked !== undefined && asked !== master.mac) {
    call.warn(`the MAC ${asked} is not set: in the mode passthru the container has that of "${master.name}"`);
  }
  return {
    from,
    attrs: {
      ...attrs,
      ...(!isPassthru && { address: asked ?? localMac(randomBytes(6)) }),
      linkinfo: { kind: 'macvlan', data: { mode, ...(bcqueuelen > 0 && { bcqueuelen }) } },
    },
    refusals: {
      EBUSY: `"${master.name}" is taken by links of another kind, such as those of ipvlan, or by a bridge or bond`,
      ...(isPassthru && { EINVAL: `passthru needs "${master.name}" for itself, and it has another macvlan link` }),
    },
  };
}

/** runtimeConfig before CNI_ARGS before `mac`: the reference's order for this type. */
function askedMac(call: CniCall<MacvlanConf>): Mac | undefined {
  const { mac, runtimeConfig } = call.conf;
  return firstMac(['runtimeConfig.mac', runtimeConfig.mac], macInArgs(call), ['mac', mac]);
}
