/**
 * dummy: a link that drops what is sent to it, for addresses that only have to exist.
 * https://www.cni.dev/plugins/current/main/dummy/
 */
import { containerLinkPlugin } from '../../attach/container-link-plugin.ts';
import type { NetConf } from '../../cni/call.ts';
import { confSchema } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import { randomBytes } from '../../ffi/random.ts';
import { localMac } from '../../net/mac.ts';

export const dummy = containerLinkPlugin<NetConf>({
  type: 'dummy',
  about: 'a link with addresses that leads nowhere',
  schema: confSchema(() => ({})),
  announces: false,
  checkConf({ ipam }) {
    if (ipam !== undefined) return;
    throw new NetloomError(
      'invalid-config',
      'failed to load netconf: "ipam" is missing, dummy interface requires an IPAM configuration',
    );
  },
  plan: (_call, _host, container) => ({
    from: container.nl,
    attrs: { address: localMac(randomBytes(6)), linkinfo: { kind: 'dummy' } },
  }),
});
